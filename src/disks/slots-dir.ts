/**
 * The clones directory: slots, the locks on them, and the staging area from which a slot is renamed into
 * place and to which it is renamed before it is deleted.
 */
import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { type LockOptions, publishDirectory, withLock } from '../fsx/index.js';
import { diskError, onDisk } from './disk-error.js';

/** A safe id has no dot, so these names are ours alone. */
const STAGING_DIR = '.staging';
const LOCK_DIR = '.locks';
/** How many locks of others one operation tries in order to remove what a killed process left. */
const MAX_SWEPT_LOCKS = 4;

export class SlotsDir {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  directory(slotName: string): string {
    return join(this.#path, slotName);
  }

  async exist(): Promise<boolean> {
    return exists(this.#path);
  }

  /** Sorted names of what may be slots. */
  async names(): Promise<string[]> {
    return (await namesIn(this.#path)).filter((name) => !name.startsWith('.'));
  }

  /** Runs `body` alone among all processes as far as this slot is concerned, leftovers of it removed. */
  async locked<T>(slotName: string, options: LockOptions, body: () => Promise<T>): Promise<T> {
    return onDisk(this.#path, async () => {
      await mkdir(this.#path, { recursive: true, mode: 0o700 });
      const own = lockName(slotName);
      await this.#sweepOthers(own);
      return withLock(
        this.#lockPath(own),
        async () => {
          await this.#sweep(own);
          return body();
        },
        options,
      );
    });
  }

  /** A new empty directory to build the slot in. */
  async makeStaging(slotName: string): Promise<string> {
    const staging = this.#stagingPath(slotName);
    await mkdir(staging, { recursive: true, mode: 0o700 });
    return staging;
  }

  async publish(staging: string, slotName: string): Promise<void> {
    await publishDirectory(staging, this.directory(slotName));
  }

  async discard(staging: string): Promise<void> {
    // A tool that outlived a cancelled operation may still be creating its file.
    await rm(staging, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Removes the slot: at once from its name, then from the disk. */
  async remove(slotName: string): Promise<void> {
    const directory = this.directory(slotName);
    if (!(await exists(directory))) return;
    await mkdir(join(this.#path, STAGING_DIR), { recursive: true, mode: 0o700 });
    const staging = this.#stagingPath(slotName);
    await rename(directory, staging);
    await this.discard(staging);
  }

  /** Removes everything in staging that belongs to slots of one lock. The caller holds it. */
  async #sweep(lock: string): Promise<void> {
    for (const name of await this.#stagingNames()) {
      if (stagingLock(name) === lock) await this.discard(join(this.#path, STAGING_DIR, name));
    }
  }

  async #sweepOthers(own: string): Promise<void> {
    const locks = new Set((await this.#stagingNames()).map(stagingLock));
    locks.delete(own);
    for (const lock of [...locks].slice(0, MAX_SWEPT_LOCKS)) {
      try {
        await withLock(this.#lockPath(lock), () => this.#sweep(lock), { timeoutMs: 0 });
      } catch (error) {
        if (!HearthError.is(error) || error.code !== 'STORE_LOCKED') throw error;
      }
    }
  }

  async #stagingNames(): Promise<string[]> {
    return namesIn(join(this.#path, STAGING_DIR));
  }

  #stagingPath(slotName: string): string {
    return join(this.#path, STAGING_DIR, `${slotName}.${randomBytes(6).toString('hex')}`);
  }

  #lockPath(lock: string): string {
    return join(this.#path, LOCK_DIR, `${lock}.lock`);
  }
}

/** One of 256: lock files cannot be removed, and ids come and go without end. */
function lockName(slotName: string): string {
  return createHash('sha256').update(slotName).digest('hex').slice(0, 2);
}

function stagingLock(stagingName: string): string {
  return lockName(stagingName.slice(0, stagingName.lastIndexOf('.')));
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw diskError(error, directory);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw diskError(error, path);
  }
}
