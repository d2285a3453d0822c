/** A client's configuration on disk: read whole, replaced by one rename, with what was there before beside it. */
import { mkdir, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded, writeFileAtomic } from '../fsx/index.js';

export interface ConfigFile {
  /** Behind links: a directory of dotfiles stays what the link points to. */
  readonly realPath: string;
  readonly text: string;
  /** Undefined when the file is not there. */
  readonly mode: number | undefined;
}

const MAX_BYTES = 64 * 1024 * 1024;
const BACKUP_SUFFIX = '.hearth-backup';
const MODE_BITS = 0o777;
const MAX_TRIES = 5;

/** @throws {HearthError} What reading a file throws. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  try {
    const realPath = await realpath(path);
    const { mode } = await stat(realPath);
    const bytes = await readFileBounded(realPath, MAX_BYTES);
    return { realPath, text: bytes.toString('utf8'), mode: mode & MODE_BITS };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { realPath: path, text: '', mode: undefined };
    throw fileError(error, path);
  }
}

/**
 * Replaces the text by what `edit` makes of it. When somebody else writes at the same time, it is made again.
 *
 * @returns Where the text from before is kept; undefined when there was none or nothing has changed.
 * @throws {HearthError} `CONFIG_BUSY`, and what `edit` throws.
 */
export async function changeConfigFile(
  path: string,
  edit: (text: string) => Promise<string>,
): Promise<{ readonly changed: boolean; readonly backup: string | undefined }> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const { realPath, text, mode } = await readConfigFile(path);
    const edited = await edit(text);
    if (edited === text) return { changed: false, backup: undefined };
    await mkdir(dirname(realPath), { recursive: true });
    const backup = mode === undefined ? undefined : `${realPath}${BACKUP_SUFFIX}`;
    if (backup !== undefined) await writeFileAtomic(backup, text, mode);
    const now = await readConfigFile(path);
    if (now.text !== text || now.realPath !== realPath) continue;
    await writeFileAtomic(realPath, edited, mode ?? 0o600);
    return { changed: true, backup };
  }
  throw new HearthError('CONFIG_BUSY', `${path} is written by another program again and again`, {
    hint: 'Close that program, then run the same command again.',
    details: { path },
  });
}
