/** Files and directories that appear whole or not at all: write aside, sync, rename, sync the parent. */
import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileError, HearthError } from '../errors/index.js';

/** Makes a finished change of a directory's entries survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Writes a file so that a reader sees the old bytes or the new ones, never a part. Durable when it resolves.
 *
 * @param mode Permission bits of the new file. Default 0600.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileError(error, path);
  }
}

/**
 * Moves a finished directory to its final name and makes that durable. The files in it must be synced already.
 * An existing directory of that name must be empty or absent.
 */
export async function publishDirectory(staging: string, final: string): Promise<void> {
  await syncDirectory(staging);
  await rename(staging, final);
  await syncDirectory(dirname(final));
}

/**
 * Reads a file of at most `maxBytes`.
 *
 * @throws {HearthError} `STORE_CORRUPT` when it is longer.
 */
export async function readFileBounded(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size: sizeBytes } = await file.stat();
    if (sizeBytes > maxBytes) {
      throw new HearthError(
        'STORE_CORRUPT',
        `${path} has ${sizeBytes} bytes, at most ${maxBytes} are expected`,
        {
          hint: 'Move the file away and run the same command again.',
          details: { path, sizeBytes, maxBytes },
        },
      );
    }
    return await readFile(file);
  } finally {
    await file.close();
  }
}
