/** Which VMM is installed, without asking it: cheap enough for every start. */
import { stat } from 'node:fs/promises';
import { HearthError } from '../errors/index.js';
import { findExecutable } from './executable.js';
import { DEFAULT_QEMU_BINARY } from './qemu/driver.js';

/**
 * A string that changes when QEMU is replaced: its path, size and times.
 *
 * @throws {HearthError} `VMM_NOT_FOUND`.
 */
export async function qemuIdentity(binary: string = DEFAULT_QEMU_BINARY): Promise<string> {
  const path = await findExecutable(binary, process.env.PATH);
  const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || found === undefined) {
    throw new HearthError('VMM_NOT_FOUND', `${binary} is not installed`, {
      hint: 'Install it: sudo apt-get install --no-install-recommends qemu-system-x86',
      details: { binary },
    });
  }
  return `${path} ${found.size} ${found.mtimeMs} ${found.ino}`;
}
