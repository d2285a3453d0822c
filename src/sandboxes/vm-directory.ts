/**
 * The directories of VMs that live no longer than one hearth command. Each is held by a kernel lock; a
 * directory whose lock is free belonged to a command that was killed, and the next command removes it.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { HearthError } from '../errors/index.js';
import { acquireLock, type Lock, withLock } from '../fsx/index.js';

export interface VmDirectory extends AsyncDisposable {
  /** 12 hexadecimal digits. */
  readonly id: string;
  /** Fresh, mode 0700. */
  readonly path: string;
}

const ID_BYTES = 6;
const ID = /^[0-9a-f]{12}$/;
const LOCK_SUFFIX = '.lock';
const OWNER_FILE = 'owner';
/** Field 22 of /proc/PID/stat, counted from the third, which follows the last `)`; see proc(5). */
const START_TIME_FIELD = 19;

/** Tells a process from an earlier one with its number: `PID STARTTIME`. Undefined when there is no such process. */
async function processIdentity(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  const startTime = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[START_TIME_FIELD];
  return startTime === undefined ? undefined : `${pid} ${startTime}`;
}

/**
 * Makes a fresh directory below `parent`, to be disposed of when its VM is gone, and removes what commands that
 * were killed have left there. Never touches what is in use.
 */
export async function createVmDirectory(parent: string): Promise<VmDirectory> {
  const id = randomBytes(ID_BYTES).toString('hex');
  const path = join(parent, id);
  const lockPath = `${path}${LOCK_SUFFIX}`;
  // The outer lock keeps a sweep from meeting a directory that has no holder yet.
  const lock = await withLock(join(parent, '.sweep'), async () => {
    await sweep(parent);
    const own = await acquireLock(lockPath, { timeoutMs: 0 });
    await mkdir(path, { mode: 0o700 });
    await writeFile(join(path, OWNER_FILE), (await processIdentity(process.pid)) ?? '');
    return own;
  });
  return { id, path, [Symbol.asyncDispose]: () => removeHeld(path, lock) };
}

async function removeHeld(path: string, lock: Lock): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await rm(`${path}${LOCK_SUFFIX}`, { force: true });
  await lock.release();
}

async function sweep(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  const ids = new Set(names.map((name) => name.replace(LOCK_SUFFIX, '')).filter((name) => ID.test(name)));
  await Promise.all([...ids].map((id) => sweepOne(join(parent, id))));
}

async function sweepOne(path: string): Promise<void> {
  // A look at the owner spares the lock of a directory that is plainly in use; the lock decides.
  const owner = await readFile(join(path, OWNER_FILE), 'utf8').catch(() => '');
  if (owner !== '' && (await processIdentity(Number.parseInt(owner, 10))) === owner) return;
  try {
    await removeHeld(path, await acquireLock(`${path}${LOCK_SUFFIX}`, { timeoutMs: 0 }));
  } catch (error) {
    if (!HearthError.is(error) || error.code !== 'STORE_LOCKED') throw error;
  }
}
