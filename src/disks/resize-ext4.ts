/** Growing an ext4 image that no VM uses: the file first, then its file system by resize2fs(8). */
import { lstat, truncate } from 'node:fs/promises';
import { errnoOf, HearthError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';
import { onDisk } from './disk-error.js';

export const DEFAULT_RESIZE2FS = 'resize2fs';

const DEFAULT_TIMEOUT_MS = 600_000;
const INSTALL_HINT =
  'Install e2fsprogs (`apt-get install e2fsprogs`), or set HEARTH_RESIZE2FS_BIN to its resize2fs.';

export interface ResizeExt4Options {
  /** The program to run. Default `resize2fs` of PATH. */
  readonly resize2fsPath?: string;
  readonly signal?: AbortSignal;
  /** For the program. Default 10 min. */
  readonly timeoutMs?: number;
}

/** @throws {HearthError} `SIZE_INVALID` unless `sizeBytes` is a whole number of bytes below 2^53. */
export function assertDiskSize(sizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0) return;
  throw new HearthError('SIZE_INVALID', `not a size of a disk in bytes: ${sizeBytes}`, {
    hint: 'Give a whole number of bytes, for example 32 * 1024 ** 3.',
    details: { sizeBytes: String(sizeBytes) },
  });
}

export function shrinkRefused(what: string, currentBytes: number, targetBytes: number): HearthError {
  return new HearthError(
    'DISK_SHRINK_REFUSED',
    `${what}: resize-down would lose data: it has ${currentBytes} bytes, asked for ${targetBytes}`,
    {
      hint: `Ask for ${currentBytes} bytes or more.`,
      details: { what, currentBytes, targetBytes },
    },
  );
}

/**
 * Grows the ext4 image `path` to `targetBytes`: extends the file with a hole and runs
 * `resize2fs -f -- path`. Does nothing, and runs nothing, when it has that length already.
 *
 * The primitive below `RootfsRegistry`: after a failed run the file stays extended, so a repeated call
 * takes it for grown. Work on a copy and throw that away on an error, as the registry does. Never call
 * it on a disk that a guest has written to: resize2fs would parse metadata of the guest's making.
 *
 * @throws {HearthError} `DISK_SHRINK_REFUSED`, `SIZE_INVALID`, `RESIZE_FAILED` with `details.exitCode` and
 *   the program's stderr, `TOOL_NOT_FOUND` when it cannot be started, `TOOL_TIMEOUT`, `FILE_NOT_FOUND`.
 */
export async function resizeExt4Image(
  path: string,
  targetBytes: number,
  options: ResizeExt4Options = {},
): Promise<void> {
  assertDiskSize(targetBytes);
  const stats = await onDisk(path, () => lstat(path));
  if (!stats.isFile()) {
    throw new HearthError('FILE_UNREADABLE', `${path} is not a regular file`, {
      hint: 'Give the path of the disk itself, not of a link or a directory.',
      details: { path },
    });
  }
  if (targetBytes < stats.size) throw shrinkRefused(path, stats.size, targetBytes);
  if (targetBytes === stats.size) return;
  options.signal?.throwIfAborted();
  await onDisk(path, () => truncate(path, targetBytes));
  await growFileSystem(path, options);
}

/**
 * Grows the file system in the image `path` to the file's length: `resize2fs -f -- path`.
 *
 * @throws {HearthError} As {@link resizeExt4Image}.
 */
export async function growFileSystem(path: string, options: ResizeExt4Options): Promise<void> {
  const { resize2fsPath = DEFAULT_RESIZE2FS, timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
  try {
    await runTool(resize2fsPath, ['-f', '--', path], {
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
      env: { ...process.env, LC_ALL: 'C' },
      installHint: INSTALL_HINT,
    });
  } catch (error) {
    if (HearthError.is(error) && error.code === 'TOOL_FAILED') {
      const { exitCode, signal: killedBy, stderr } = error.details;
      const how = exitCode === null ? `was killed by ${killedBy}` : `ended with exit code ${exitCode}`;
      throw new HearthError('RESIZE_FAILED', `${resize2fsPath} on ${path} ${how}: ${stderr}`, {
        hint: 'Look at what resize2fs said; if the image is damaged, build its template again.',
        details: { path, resize2fsPath, exitCode, signal: killedBy, stderr },
        cause: error,
      });
    }
    const missing = HearthError.is(error) && error.code === 'TOOL_NOT_FOUND';
    if (missing || errnoOf(error) !== undefined) {
      throw new HearthError('TOOL_NOT_FOUND', `cannot spawn ${resize2fsPath} to resize ${path}`, {
        hint: INSTALL_HINT,
        details: { command: resize2fsPath, path, errno: errnoOf(error) ?? 'ENOENT' },
        cause: error,
      });
    }
    throw error;
  }
}
