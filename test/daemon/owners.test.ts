/** What a daemon takes for its own after another was killed (reliability.md 24, 26), and what it never touches. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { hearth, jsonOf } from '../support/cli.js';
import { serve } from '../support/daemon.js';

let home: string;
let elsewhere: string;
const started: ChildProcess[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hearth-owners-'));
  elsewhere = await mkdtemp(join(tmpdir(), 'hearth-elsewhere-'));
});
afterEach(async () => {
  await hearth(['serve', '--stop'], { home });
  for (const child of started.splice(0)) child.kill('SIGKILL');
  for (const directory of [home, elsewhere]) await rm(directory, { recursive: true, force: true });
});

const directoryOf = (id: string): string => join(home, 'state/sandboxes', id);
const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

/** A process of this name that works in the directory and does nothing. */
async function idle(name: string, directory: string): Promise<ChildProcess> {
  const program = join(elsewhere, name);
  await copyFile('/bin/sleep', program).catch(() => undefined);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const child = spawn(program, ['600'], { cwd: directory, stdio: 'ignore' });
  started.push(child);
  await once(child, 'spawn');
  // The name is its own only once it has been executed.
  await expect
    .poll(async () => await readFile(`/proc/${child.pid}/comm`, 'utf8'), { timeout: 30_000 })
    .toContain(name.slice(0, 15));
  return child;
}

/** Says of a sandbox that it runs, in a VM of this process. */
async function writeRunning(id: string, name: string, vmm: object): Promise<void> {
  const directory = directoryOf(id);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const record = {
    ...{ schemaVersion: 1, id, name, labels: {}, createdAt: new Date().toISOString() },
    ...{ startedAt: null, stoppedAt: null, state: 'running', stopReason: null, failure: null },
    environment: { name: 'none', directory, kernelPath: '/k', initrdPath: '/i' },
    disk: { fileName: 'disk', format: 'raw', sizeBytes: 0, growPending: false },
    ...{ cpus: 1, memoryMib: 256, accelerator: 'tcg', acceleratorReason: '' },
    defaults: { env: [], workdir: '/', user: '' },
    ...{ ttlMs: null, idleTimeoutMs: null, ports: [], vmm },
  };
  await writeFile(join(directory, 'sandbox.json'), JSON.stringify(record), { mode: 0o600 });
}

it('ends a VM that no record speaks of, and nothing that is not a VM or not below its directory', async () => {
  const owned = directoryOf('aaaabbbbcccc');
  const orphan = await idle('qemu-system-x86_64', owned);
  const foreign = await idle('qemu-system-x86_64', elsewhere);
  const bystander = await idle('sleeper', owned);
  const ended = once(orphan, 'exit');
  await using _daemon = await serve(home);
  expect(await ended).toEqual([null, 'SIGKILL']);
  expect([foreign, bystander].map(isAlive)).toEqual([true, true]);
});

it('takes no process for a VM because its number is the one that was written down', async () => {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const other = await idle('qemu-system-x86_64', elsewhere);
  await writeRunning('aaaabbbbccc1', 'reused', { pid: other.pid, startTime: '1', bootId });
  await writeRunning('aaaabbbbccc2', 'before-boot', { pid: other.pid, startTime: '1', bootId: 'another' });
  await using _daemon = await serve(home);
  const { sandboxes } = jsonOf(await hearth(['ps', '--all', '--json'], { home })) as {
    sandboxes: Array<Record<string, unknown>>;
  };
  const failed = { state: 'failed', pid: null, failure: expect.objectContaining({ code: 'VM_EXITED' }) };
  expect(sandboxes).toMatchObject([
    { name: 'reused', ...failed },
    { name: 'before-boot', ...failed },
  ]);
  expect((await hearth(['rm', '--force', 'reused', 'before-boot'], { home })).exitCode).toBe(0);
  expect(isAlive(other)).toBe(true);
});
