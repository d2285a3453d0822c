/**
 * Locks between processes that die with their holder.
 *
 * A lock is flock(2) on an open file. Node has no flock, but the lock belongs to the open file
 * description, so util-linux's `flock` can take it on a descriptor that it shares with us and exit:
 * the lock stays for as long as we keep the file open, and the kernel frees it when we die, however.
 * The lock file is never removed: then two holders could lock two files of one name.
 */
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError, HearthError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';

export interface LockOptions {
  /** How long to wait for the present holder. Default 10 min; 0 fails at once. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Several holders may share the lock when none holds it alone. Default false. */
  readonly shared?: boolean;
}

export interface Lock extends AsyncDisposable {
  /** Frees the lock. Idempotent. */
  release(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 600_000;
const CONFLICT_EXIT_CODE = 75;
const KILL_MARGIN_MS = 5_000;

/**
 * Waits for the lock named by the file `path`, creating it (0600) and its directory (0700) if needed.
 * Two locks taken by one process exclude each other as two processes' would.
 *
 * @throws {HearthError} `STORE_LOCKED` when another holder keeps it for longer than `timeoutMs`.
 */
export async function acquireLock(path: string, options: LockOptions = {}): Promise<Lock> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = await open(path, flags, 0o600);
    try {
      const mode = options.shared === true ? '--shared' : '--exclusive';
      const args = [
        mode,
        '--conflict-exit-code',
        String(CONFLICT_EXIT_CODE),
        '--timeout',
        String(timeoutMs / 1000),
        '3',
      ];
      const result = await runTool('flock', args, {
        extraFds: [file.fd],
        timeoutMs: timeoutMs + KILL_MARGIN_MS,
        okExitCodes: [0, CONFLICT_EXIT_CODE],
        installHint: 'Install util-linux, which has the flock command.',
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      if (result.exitCode === CONFLICT_EXIT_CODE) {
        throw new HearthError('STORE_LOCKED', `another process holds the lock ${path}`, {
          hint: 'Wait for the other hearth command to finish, then run this one again.',
          details: { path, timeoutMs },
        });
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    let held = true;
    const release = async (): Promise<void> => {
      if (!held) return;
      held = false;
      await file.close();
    };
    return { release, [Symbol.asyncDispose]: release };
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Runs `body` while holding the lock `path`. */
export async function withLock<T>(
  path: string,
  body: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const lock = await acquireLock(path, options);
  try {
    return await body();
  } finally {
    await lock.release();
  }
}
