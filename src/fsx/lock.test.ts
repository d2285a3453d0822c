import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock, withLock } from './lock.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-lock-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const locked = expect.objectContaining({ code: 'STORE_LOCKED' });

describe('acquireLock', () => {
  it('excludes a second holder until it is released, in one process too', async () => {
    const path = join(directory, 'new', 'a.lock');
    const first = await acquireLock(path);
    await expect(acquireLock(path, { timeoutMs: 0 })).rejects.toEqual(locked);
    await first.release();
    await first.release();
    await (await acquireLock(path, { timeoutMs: 0 })).release();
  });

  it('waits for the holder', async () => {
    const path = join(directory, 'a.lock');
    const first = await acquireLock(path);
    const second = acquireLock(path, { timeoutMs: 20_000 });
    await first.release();
    await (await second).release();
  });

  it('lets shared holders in together and keeps a lone one out', async () => {
    const path = join(directory, 'a.lock');
    const holders = [
      await acquireLock(path, { shared: true }),
      await acquireLock(path, { shared: true, timeoutMs: 0 }),
    ];
    await expect(acquireLock(path, { timeoutMs: 0 })).rejects.toEqual(locked);
    await Promise.all(holders.map((holder) => holder.release()));
    await (await acquireLock(path, { timeoutMs: 0 })).release();
  });

  it('is free at once when its holder is killed', async () => {
    const path = join(directory, 'a.lock');
    const holder = spawn('flock', [path, 'sh', '-c', 'echo held; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    await once(holder.stdout, 'data');
    await expect(acquireLock(path, { timeoutMs: 0 })).rejects.toEqual(locked);
    process.kill(-(holder.pid ?? 0), 'SIGKILL');
    await once(holder, 'exit');
    await (await acquireLock(path, { timeoutMs: 20_000 })).release();
  });

  it('does not follow a link put in its place', async () => {
    await symlink('/etc/passwd', join(directory, 'a.lock'));
    await expect(acquireLock(join(directory, 'a.lock'))).rejects.toThrow();
  });

  it('stops waiting when aborted, with the reason of the caller', async () => {
    const path = join(directory, 'a.lock');
    const first = await acquireLock(path);
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = acquireLock(path, { signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await first.release();
  });
});

describe('withLock', () => {
  it('frees the lock when the body throws', async () => {
    const path = join(directory, 'a.lock');
    await expect(withLock(path, () => Promise.reject(new Error('body')))).rejects.toThrow('body');
    expect(await withLock(path, () => Promise.resolve(7), { timeoutMs: 0 })).toBe(7);
  });
});
