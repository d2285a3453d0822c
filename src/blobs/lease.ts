/** Leases: "I am using blobs, collect nothing". Any number at once, or one collector. */
import { HearthError } from '../errors/index.js';
import { acquireLock, type Lock } from '../fsx/index.js';
import type { Lease } from '../oci/index.js';

/** Longer than any collection takes; a dead collector's lock is gone with it. */
const WAIT_MS = 600_000;

/**
 * The locks that are held, so that a store which nobody refers to any more keeps its lease until the process ends
 * or somebody releases it, whatever the garbage collector does.
 */
const heldLocks = new Set<Lock>();

/** The leases that one open store hands out; they share one lock of the kernel's. */
export class Leases {
  readonly #path: string;
  readonly #onIdle: () => Promise<void>;
  #holders = 0;
  #lock: Promise<Lock | undefined> | undefined;

  /** @param onIdle Called after the last lease has been released; its errors reach who released it. */
  constructor(path: string, onIdle: () => Promise<void>) {
    this.#path = path;
    this.#onIdle = onIdle;
  }

  async take(signal?: AbortSignal): Promise<Lease> {
    signal?.throwIfAborted();
    this.#holders += 1;
    this.#lock ??= this.#acquire();
    const lock = this.#lock;
    let held = true;
    const letGo = async (): Promise<boolean> => {
      if (!held) return false;
      held = false;
      this.#holders -= 1;
      if (this.#holders > 0) return false;
      this.#lock = undefined;
      const taken = await lock;
      if (taken !== undefined) heldLocks.delete(taken);
      await taken?.release();
      return true;
    };
    try {
      await raceAbort(lock, signal);
    } catch (error) {
      letGo().catch(() => {
        // The lock was never taken; whoever waits for it gets that error.
      });
      throw error;
    }
    const release = async (): Promise<void> => {
      if (await letGo()) await this.#onIdle();
    };
    return { release, [Symbol.asyncDispose]: release };
  }

  async #acquire(): Promise<Lock | undefined> {
    try {
      const lock = await acquireLock(this.#path, { shared: true, timeoutMs: WAIT_MS });
      heldLocks.add(lock);
      return lock;
    } catch (error) {
      // A store that nobody can write to (read-only file system) is one that nobody can collect.
      if (HearthError.is(error) && error.code === 'FILE_UNREADABLE') return undefined;
      throw error;
    }
  }
}

/** As `promise`, but rejects with the signal's reason as soon as it aborts. */
async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
