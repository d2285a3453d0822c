/** Warm starts: a resumed VM is as quick as promised elsewhere, and here: as good and as private as a booted one. */
import { open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
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
    snapshot: { name: string; isNew: boolean; reason: string } | null;
    fallback: { code: string } | null;
  };

const snapshots = async (): Promise<string[]> =>
  (await readdir(join(home, 'data/snapshots'))).filter((name) => !name.startsWith('.')).sort();

describe('a warm start', () => {
  it('makes its snapshot the first time and uses it the second', async () => {
    const first = await run([], 'echo', '1');
    expect(first).toMatchObject({ start: 'warm', stdout: '1\n' });
    expect(first.durationsMs.prepare).toBeGreaterThan(0);
    expect(await snapshots()).toEqual([first.snapshot?.name]);
    expect(first.snapshot).toMatchObject({ isNew: true, reason: expect.stringMatching(/^there was none/) });
    const second = await run([], 'echo', '2');
    expect(second).toMatchObject({ start: 'warm', stdout: '2\n', durationsMs: { prepare: 0 } });
    expect(second.snapshot).toEqual({
      name: first.snapshot?.name,
      isNew: false,
      reason: 'nothing that it depends on has changed',
    });
    const cold = await run(['--cold'], 'echo', '3');
    expect(cold).toMatchObject({ start: 'cold', stdout: '3\n', snapshot: null, fallback: null });
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
    expect(await run([], 'echo', 'fine')).toMatchObject({
      start: 'warm',
      stdout: 'fine\n',
      snapshot: { isNew: true, reason: `the one that was there is damaged: ${file}` },
    });
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
    const { stdout, stderr, exitCode } = await hearth(['run', '--progress', 'plain', image, 'echo', 'fine'], {
      home,
    });
    expect([exitCode, stdout.toString()]).toEqual([0, 'fine\n']);
    expect(stderr).toMatch(/booting instead of resuming: VM/);
    expect(await run([], 'echo', 'fine')).toMatchObject({ start: 'warm', stdout: 'fine\n', fallback: null });
  });

  it('makes the snapshot anew for a changed kernel, and says so', async () => {
    const old = (await run([], 'true')).snapshot;
    const platform = join(home, 'data/environments/linux-x86_64');
    const [entry = ''] = (await readdir(platform)).filter((name) => !name.startsWith('.'));
    await utimes(join(platform, entry, 'vmlinux'), 1, 1);
    const { snapshot } = await run([], 'true');
    expect(snapshot).toMatchObject({ isNew: true, reason: 'changed since the last one: the kernel' });
    expect(snapshot?.name).not.toBe(old?.name);
  });
});

describe('hearth prepare and hearth cache', () => {
  const json = async (...words: string[]) => jsonOf(await hearth([...words, '--json'], { home }));

  it('says that nothing had to be made, and with --verify finds a byte that flipped', async () => {
    const { snapshot } = (await json('prepare', image)) as { snapshot: { name: string } };
    expect(await json('prepare', '--verify', image)).toMatchObject({ made: false, snapshot });
    const path = join(home, 'data/snapshots', snapshot.name, 'memory');
    const { atime, mtimeMs } = await stat(path);
    const file = await open(path, 'r+');
    await file.write(Buffer.from('flipped'), 0, 7, 16 * 1024 * 1024 + 1);
    await file.close();
    await utimes(path, atime, mtimeMs / 1000);
    expect(await json('prepare', '--verify', image)).toMatchObject({
      made: true,
      snapshot: { name: snapshot.name, reason: 'the one that was there is damaged: memory' },
    });
  });

  it('shows what is kept and why, prunes it, and env pull --prepare makes it again', async () => {
    const { items } = (await json('cache', 'df')) as {
      items: { kind: string; why: string; isRemovable: boolean }[];
    };
    const saved = items.filter(({ kind }) => kind === 'snapshots');
    expect(saved.length).toBe((await snapshots()).length);
    for (const { why, isRemovable } of saved) {
      expect(isRemovable).toBe(true);
      expect(why).toMatch(/^warm starts of .*, \d CPUs?, \d+ MiB, (?:tcg|kvm); last used/);
    }
    expect(await json('cache', 'prune', '--older-than', '1d')).toMatchObject({ snapshotsRemoved: 0 });
    expect(await json('cache', 'prune', '--dry-run')).toMatchObject({ snapshotsRemoved: saved.length });
    expect(await json('cache', 'prune')).toMatchObject({ snapshotsRemoved: saved.length });
    expect(await snapshots()).toEqual([]);
    expect(await json('env', 'pull', '--prepare', image)).toMatchObject({ snapshot: { isNew: true } });
    expect(await run([], 'true')).toMatchObject({ start: 'warm', durationsMs: { prepare: 0 } });
  });
});
