/** Puts a copy of a finished file somewhere else; it stays what it is whatever happens to the original. */
import { constants } from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { errnoOf, fileError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';

const COPY_TIMEOUT_MS = 1_800_000;

/**
 * Makes `to` the same bytes as `from`, which may be a symlink: reflink, else copy. Durable when it resolves.
 * `to` must not exist. For files without holes to keep: kernels, initrds.
 */
export async function placeFile(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await syncFile(to);
  } catch (error) {
    throw fileError(error, errnoOf(error) === 'ENOENT' ? from : to);
  }
}

/** As {@link placeFile}, and zeros of `from` become holes: for file system images, which are mostly zeros. */
export async function placeSparseFile(
  from: string,
  to: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  await runTool('cp', ['--dereference', '--reflink=auto', '--sparse=always', '--', from, to], {
    timeoutMs: COPY_TIMEOUT_MS,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  await syncFile(to);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
