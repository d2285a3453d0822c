import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createVmDirectory } from './vm-directory.js';

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'hearth-vms-'));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const present = async (): Promise<string[]> => (await readdir(parent)).sort();

/** Another process that listens on the socket of a directory, until it is killed. */
const LISTENER = "require('node:net').createServer().listen(process.argv[1], () => console.log('held'))";

describe('VM directories', () => {
  it('are private, and gone with everything in them when disposed of', async () => {
    const directory = await createVmDirectory(join(parent, 'vms'));
    expect((await stat(directory.path)).mode & 0o777).toBe(0o700);
    await writeFile(join(directory.path, 'console.log'), 'x');
    await directory[Symbol.asyncDispose]();
    expect(await readdir(join(parent, 'vms'))).toEqual([]);
  });

  it('are swept when their holder was killed, and only then', async () => {
    await using mine = await createVmDirectory(parent);
    const [dead, live] = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'] as const;
    for (const id of [dead, live, 'not-ours']) await mkdir(join(parent, id));
    await writeFile(join(parent, dead, 'disk.qcow2'), 'x');
    const socket = join(parent, live, 'holder.sock');
    const holder = spawn(process.execPath, ['-e', LISTENER, socket], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(holder.stdout, 'data');

    await (await createVmDirectory(parent))[Symbol.asyncDispose]();
    expect(await present()).toEqual([mine.id, live, 'not-ours'].sort());

    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await (await createVmDirectory(parent))[Symbol.asyncDispose]();
    expect(await present()).toEqual([mine.id, 'not-ours'].sort());
  });

  it('are not swept while they are being made, and are when their maker was killed at it', async () => {
    const unfinished = join(parent, '.new-aaaaaaaaaaaa');
    await mkdir(unfinished);
    await (await createVmDirectory(parent))[Symbol.asyncDispose]();
    expect(await present()).toEqual(['.new-aaaaaaaaaaaa']);
    const before = new Date(Date.now() - 120_000);
    await utimes(unfinished, before, before);
    await (await createVmDirectory(parent))[Symbol.asyncDispose]();
    expect(await present()).toEqual([]);
  });

  it('may lie deeper than the address of a socket is long', async () => {
    const deep = join(parent, 'd'.repeat(100), 'e'.repeat(100));
    const directory = await createVmDirectory(deep);
    await (await createVmDirectory(deep))[Symbol.asyncDispose]();
    expect(await readdir(deep)).toEqual([directory.id]);
    await directory[Symbol.asyncDispose]();
  });

  it('can be made many at once', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => createVmDirectory(parent)));
    expect(new Set(made.map(({ id }) => id)).size).toBe(8);
    expect(await present()).toHaveLength(8);
    await Promise.all(made.map((directory) => directory[Symbol.asyncDispose]()));
    expect(await present()).toEqual([]);
  });
});
