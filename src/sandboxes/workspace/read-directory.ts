/** Files of a directory of this host as entries of a seed. Links are taken as links, never followed. */
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { errnoOf, fileError } from '../../errors/index.js';
import type { BaselineWriter, SeedEntry } from './baseline-writer.js';

const READ_BYTES = 256 * 1024;

export interface LeftOut {
  /** Files that Git does not track and does not ignore. */
  readonly untracked: number;
  /** Sockets, pipes and devices. */
  readonly special: number;
}

export const hostPath = (root: string, path: string): Buffer =>
  path === '' ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);

/** Puts everything below `root` into the writer. @returns How many special files were left out. */
export async function readWholeDirectory(
  root: string,
  writer: BaselineWriter,
  signal: AbortSignal | undefined,
): Promise<number> {
  let special = 0;
  const open: string[] = [''];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const names = await readdir(hostPath(root, path), { encoding: 'buffer' }).catch((error: unknown) => {
      throw fileError(error, `${root}/${path}`);
    });
    for (const name of names) {
      signal?.throwIfAborted();
      const child = path === '' ? name.toString('latin1') : `${path}/${name.toString('latin1')}`;
      const kind = await readOne(root, child, writer);
      if (kind === 'directory') open.push(child);
      if (kind === 'special') special += 1;
    }
  }
  return special;
}

/** Puts one file, link or directory (without what is in it) into the writer. */
export async function readOne(
  root: string,
  path: string,
  writer: BaselineWriter,
): Promise<SeedEntry['kind'] | 'special' | 'missing'> {
  const place = hostPath(root, path);
  try {
    const stats = await lstat(place, { bigint: true });
    const entry = {
      path,
      mode: Number(stats.mode & 0o777n),
      mtimeNs: stats.mtimeNs,
      sizeBytes: 0,
      target: '',
    };
    if (stats.isDirectory()) {
      writer.add({ ...entry, kind: 'directory' });
      return 'directory';
    }
    if (stats.isSymbolicLink()) {
      const target = (await readlink(place, { encoding: 'buffer' })).toString('latin1');
      writer.add({ ...entry, kind: 'symlink', target });
      return 'symlink';
    }
    if (!stats.isFile()) return 'special';
    await using file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    // The announced size is what fits; what is read counts.
    writer.add({ ...entry, kind: 'file' });
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, READ_BYTES);
      if (bytesRead === 0) break;
      writer.write(chunk.subarray(0, bytesRead));
    }
    writer.endFile();
    return 'file';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return 'missing';
    throw fileError(error, place.toString());
  }
}
