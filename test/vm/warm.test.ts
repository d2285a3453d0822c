/** Warm starts: a resumed VM is as quick as promised elsewhere, and here: as good and as private as a booted one. */
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxImage } from '../support/busybox-image.js';
import { freshHome, hearth, jsonOf } from '../support/cli.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { pushImages } from '../support/registry-images.js';

let home: string;
let registry: TestRegistry;
let image: string;

beforeAll(async () => {
  home = await freshHome();
  registry = await startRegistry();
  image = `${registry.host}/tools/busybox:v1`;
  await pushImages(registry, 'tools/busybox', 'v1', [busyboxImage()]);
});
afterAll(async () => {
  await registry?.stop();
  await rm(home, { recursive: true, force: true });
});

const run = async (options: readonly string[], ...command: string[]) =>
  jsonOf(await hearth(['run', '--json', ...options, image, '--', ...command], { home })) as {
    start: string;
    stdout: string;
    exitCode: number;
    durationsMs: { prepare: number };
  };

const snapshots = async (): Promise<string[]> =>
  (await readdir(join(home, 'data/snapshots'))).filter((name) => !name.startsWith('.')).sort();

describe('a warm start', () => {
  it('makes its snapshot the first time and uses it the second', async () => {
    const first = await run([], 'echo', '1');
    expect(first).toMatchObject({ start: 'warm', stdout: '1\n' });
    expect(first.durationsMs.prepare).toBeGreaterThan(0);
    expect(await snapshots()).toHaveLength(1);
    const second = await run([], 'echo', '2');
    expect(second).toMatchObject({ start: 'warm', stdout: '2\n', durationsMs: { prepare: 0 } });
    expect(await run(['--cold'], 'echo', '3')).toMatchObject({ start: 'cold', stdout: '3\n' });
  });

  it('has another snapshot for other processors, memory or disk, and none for the same', async () => {
    const before = await snapshots();
    for (const options of [
      ['--memory', '256M'],
      ['--cpus', '2'],
      ['--disk', '2G'],
    ]) {
      expect(await run(options, 'true')).toMatchObject({ start: 'warm', exitCode: 0 });
    }
    expect(await snapshots()).toHaveLength(before.length + 3);
    expect(await run(['--memory', '256M'], 'true')).toMatchObject({ durationsMs: { prepare: 0 } });
    expect(
      await run(
        ['--disk', '2G'],
        'sh',
        '-c',
        'dd if=/dev/zero of=/big bs=1048576 count=1100 2>/dev/null && echo room',
      ),
    ).toMatchObject({ stdout: 'room\n' });
  });

  it('shares nothing that a VM must have for itself', async () => {
    const script =
      'cat /proc/sys/kernel/random/uuid /etc/machine-id; head -c 32 /dev/urandom | od -An -tx1; uname -n';
    const outputs = await Promise.all([1, 2, 3].map(() => run([], 'sh', '-c', script)));
    const [one, two, three] = outputs.map(({ stdout }) => stdout.trim().split('\n'));
    expect(one?.length).toBeGreaterThanOrEqual(4);
    for (const [index] of one!.entries()) {
      expect(new Set([one![index], two![index], three![index]]).size).toBe(3);
    }
  });

  it('has the right time', async () => {
    const asked = Date.now() / 1000;
    const { stdout } = await run([], 'sh', '-c', 'date +%s');
    expect(Number(stdout)).toBeGreaterThan(asked - 3);
    expect(Number(stdout)).toBeLessThan(Date.now() / 1000 + 1);
  });

  it('never sees what another VM wrote', async () => {
    expect(await run([], 'sh', '-c', 'echo secret > /left; cat /left')).toMatchObject({ stdout: 'secret\n' });
    expect(await run([], 'sh', '-c', 'ls /left 2>/dev/null; echo none')).toMatchObject({ stdout: 'none\n' });
  });

  it.each(['memory', 'state', 'disk'])('makes the snapshot anew when its %s is damaged', async (file) => {
    const [name = ''] = await snapshots();
    for (const snapshot of await snapshots())
      await truncate(join(home, 'data/snapshots', snapshot, file), 100);
    expect(await run([], 'echo', 'fine')).toMatchObject({ start: 'warm', stdout: 'fine\n' });
    expect(await snapshots()).toContain(name);
  });

  it('boots when a snapshot cannot be resumed, and makes a better one the next time', async () => {
    await run([], 'true');
    for (const snapshot of await snapshots()) {
      const directory = join(home, 'data/snapshots', snapshot);
      const record = JSON.parse(await readFile(join(directory, 'snapshot.json'), 'utf8'));
      await writeFile(join(directory, 'state'), Buffer.alloc(record.files.state.sizeBytes, 0x55));
      record.files.state.mtimeMs = (await stat(join(directory, 'state'))).mtimeMs;
      await writeFile(join(directory, 'snapshot.json'), JSON.stringify(record));
    }
    expect(await run([], 'echo', 'fine')).toMatchObject({ start: 'cold', stdout: 'fine\n' });
    expect(await run([], 'echo', 'fine')).toMatchObject({ start: 'warm', stdout: 'fine\n' });
  });
});
