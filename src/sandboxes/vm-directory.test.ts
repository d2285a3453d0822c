import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createVmDirectory } from './vm-directory.js';

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'hearth-vms-'));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const present = async (): Promise<string[]> =>
  (await readdir(parent)).filter((name) => name !== '.sweep').sort();

describe('VM directories', () => {
  it('are private, and gone with everything in them when disposed of', async () => {
    const directory = await createVmDirectory(join(parent, 'vms'));
    expect((await stat(directory.path)).mode & 0o777).toBe(0o700);
    await writeFile(join(directory.path, 'console.log'), 'x');
    await directory[Symbol.asyncDispose]();
    expect(await readdir(join(parent, 'vms'))).toEqual(['.sweep']);
  });

  it('are swept when their holder was killed, and only then', async () => {
    await using mine = await createVmDirectory(parent);
    const [dead, live, reused] = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'cccccccccccc'] as const;
    for (const id of [dead, live, reused]) await mkdir(join(parent, id));
    await writeFile(join(parent, dead, 'disk.qcow2'), 'x');
    // The owner's process number lives on, but belongs to a process that started at another time.
    await writeFile(join(parent, reused, 'owner'), `${process.pid} 1`);
    const holder = spawn('flock', [join(parent, `${live}.lock`), 'sh', '-c', 'echo held; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    await once(holder.stdout, 'data');
    await mkdir(join(parent, 'not-ours'));
    const kept = [mine.id, `${mine.id}.lock`, 'not-ours'];

    await (await createVmDirectory(parent))[Symbol.asyncDispose]();
    expect(await present()).toEqual([...kept, live, `${live}.lock`].sort());

    process.kill(-(holder.pid ?? 0), 'SIGKILL');
    await once(holder, 'exit');
    await (await createVmDirectory(parent))[Symbol.asyncDispose]();
    expect(await present()).toEqual(kept.sort());
  });

  it('can be made many at once', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => createVmDirectory(parent)));
    expect(new Set(made.map(({ id }) => id)).size).toBe(8);
    expect((await present()).filter((name) => !name.endsWith('.lock'))).toHaveLength(8);
    await Promise.all(made.map((directory) => directory[Symbol.asyncDispose]()));
    expect(await present()).toEqual([]);
  });
});
