/**
 * Copying a disk without its holes.
 *
 * Node can neither ask for holes (SEEK_HOLE) nor copy ranges inside the kernel; reading a 1 GiB image and
 * looking for zeros in JavaScript takes five times as long as GNU cp, which does both. So cp it is.
 */
import { open, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatSize } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';
import { onDisk } from './disk-error.js';

export interface SparseCopyOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 600_000;
/** stat(2): `st_blocks` counts units of 512 bytes on every file system. */
const STAT_BLOCK_BYTES = 512;

/**
 * Copies the file `source` to the new file `destination`: holes stay holes, runs of zeros become
 * holes. On any error the caller removes what there is of `destination`.
 *
 * @throws {HearthError} `DISK_FULL`, before anything is written where that can be foreseen; `TOOL_NOT_FOUND`
 *   or `TOOL_FAILED` without GNU cp; `TOOL_TIMEOUT` (default 10 min).
 */
export async function sparseCopy(
  source: string,
  destination: string,
  options: SparseCopyOptions = {},
): Promise<void> {
  await assertFreeSpace(dirname(destination), await allocatedBytes(source));
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  try {
    await runTool('cp', ['--sparse=always', '--reflink=never', '--', source, destination], {
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
      env: { ...process.env, LC_ALL: 'C' },
      installHint: 'Install GNU coreutils, which has the cp command.',
    });
  } catch (error) {
    if (HearthError.is(error) && /No space left|quota exceeded/i.test(String(error.details.stderr))) {
      throw diskFull(dirname(destination), await allocatedBytes(source), undefined, error);
    }
    throw error;
  }
}

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function allocatedBytes(path: string): Promise<number> {
  return (await onDisk(path, () => stat(path))).blocks * STAT_BLOCK_BYTES;
}

async function assertFreeSpace(directory: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await onDisk(directory, () => statfs(directory));
  const availableBytes = bavail * bsize;
  if (neededBytes > availableBytes) throw diskFull(directory, neededBytes, availableBytes);
}

function diskFull(
  directory: string,
  neededBytes: number,
  availableBytes?: number,
  cause?: unknown,
): HearthError {
  const available = availableBytes === undefined ? '' : `, ${formatSize(availableBytes)} are free`;
  return new HearthError(
    'DISK_FULL',
    `no space left in ${directory}: the copy of a disk needs ${formatSize(neededBytes)}${available}`,
    {
      hint: 'Free some space (`hearth cache prune` removes what can be fetched again) and run the same command again.',
      details: { path: directory, neededBytes, availableBytes: availableBytes ?? null },
      cause,
    },
  );
}
