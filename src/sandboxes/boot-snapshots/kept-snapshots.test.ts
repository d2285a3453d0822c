import { mkdir, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hearthPaths } from '../../fsx/index.js';
import {
  BOOT_FILES,
  damagedFiles,
  listBootSnapshots,
  readBootRecord,
  writeBootRecord,
} from './boot-record.js';
import { listSavedVms, pruneBootSnapshots } from './kept-snapshots.js';

let root: string;
const paths = () => hearthPaths({ HEARTH_HOME: root });
const directory = (name: string): string => join(root, 'data/snapshots', name);

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hearth-kept-'));
  await writeFile(join(root, 'rootfs'), 'rootfs');
});
afterEach(async () => rm(root, { recursive: true, force: true }));

/** A boot snapshot that was used last `hours` ago. */
async function make(name: string, hours: number, rootfsPath = join(root, 'rootfs')): Promise<void> {
  await mkdir(directory(name), { recursive: true });
  for (const file of BOOT_FILES) await writeFile(join(directory(name), file), Buffer.alloc(100_000, file));
  await writeBootRecord(directory(name), {
    environment: 'debian:12',
    rootfsPath,
    diskFormat: 'qcow2',
    createdAt: new Date(0).toISOString(),
    limits: { cpus: 1, memoryMib: 512, diskBytes: null, accelerator: 'tcg', networkDevice: false },
    parts: { rootfs: '', kernel: '', agent: '', qemu: '', machine: '', processor: '' },
  });
  const usedAt = Date.now() / 1000 - hours * 3600;
  await utimes(directory(name), usedAt, usedAt);
}

const left = async (): Promise<string[]> =>
  (await readdir(join(root, 'data/snapshots'))).filter((name) => !name.startsWith('.')).sort();

describe('the record of a boot snapshot', () => {
  it('reads back, and finds its files whole', async () => {
    await make('boot-a', 0);
    const record = await readBootRecord(directory('boot-a'));
    expect(record).toMatchObject({ environment: 'debian:12', limits: { memoryMib: 512 } });
    expect(await damagedFiles(directory('boot-a'), record!)).toEqual([]);
    expect(await damagedFiles(directory('boot-a'), record!, { full: true })).toEqual([]);
  });

  it('takes files of another time for whole when their digests are right', async () => {
    await make('boot-a', 0);
    const record = await readBootRecord(directory('boot-a'));
    await utimes(join(directory('boot-a'), 'memory'), 1, 1);
    expect(await damagedFiles(directory('boot-a'), record!)).toEqual([]);
  });

  it.each(BOOT_FILES)('notices %s that is cut, changed or gone', async (file) => {
    await make('boot-a', 0);
    const record = await readBootRecord(directory('boot-a'));
    const path = join(directory('boot-a'), file);
    const bytes = await readFile(path);
    const { mtimeMs } = record!.files[file];
    bytes[70_000] = 0;
    await writeFile(path, bytes);
    expect(await damagedFiles(directory('boot-a'), record!)).toEqual([file]);
    await utimes(path, mtimeMs / 1000, mtimeMs / 1000);
    expect(await damagedFiles(directory('boot-a'), record!, { full: true })).toEqual([file]);
    await truncate(path, 10);
    expect(await damagedFiles(directory('boot-a'), record!)).toEqual([file]);
    await rm(path);
    expect(await damagedFiles(directory('boot-a'), record!)).toEqual([file]);
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['another version', '{"schema":1}'],
    ['half of it', '{"schema":4,"environment":"x"}'],
  ])('is none when the file has %s', async (_name, text) => {
    await make('boot-a', 0);
    await writeFile(join(directory('boot-a'), 'snapshot.json'), text);
    expect(await readBootRecord(directory('boot-a'))).toBeUndefined();
    expect((await listBootSnapshots(paths())).map(({ record }) => record)).toEqual([undefined]);
  });
});

describe('listSavedVms', () => {
  it('says why each is there', async () => {
    expect(await listSavedVms(paths())).toEqual([]);
    await make('boot-a', 2);
    await make('boot-b', 0, join(root, 'gone'));
    await make('boot-c', 0);
    await writeFile(join(directory('boot-c'), 'snapshot.json'), '{}');
    await mkdir(directory('0123456789ab'));
    expect(
      (await listSavedVms(paths())).map(({ name, why, isRemovable }) => [name, isRemovable, why]),
    ).toEqual([
      [
        'boot-a',
        true,
        expect.stringMatching(/^warm starts of debian:12, 1 CPU, 512 MiB, tcg; last used 12\d m/),
      ],
      ['boot-b', true, 'cannot be resumed: debian:12 is gone'],
      ['boot-c', true, 'cannot be resumed: damaged, or of another version of hearth'],
      ['0123456789ab', false, 'a snapshot of a sandbox; remove it with `hearth snapshot rm`'],
    ]);
  });
});

describe('pruneBootSnapshots', () => {
  beforeEach(async () => {
    await make('boot-old', 48);
    await make('boot-mid', 5);
    await make('boot-new', 0);
    await mkdir(directory('0123456789ab'));
  });

  it('removes all of them, and nothing else, when nothing is to be kept', async () => {
    const { names, bytes } = await pruneBootSnapshots(paths(), {});
    expect(names.sort()).toEqual(['boot-mid', 'boot-new', 'boot-old']);
    expect(bytes).toBeGreaterThan(900_000);
    expect(await left()).toEqual(['0123456789ab']);
  });

  it.each([
    [{ olderThanMs: 3 * 86_400_000 }, []],
    [{ olderThanMs: 86_400_000 }, ['boot-old']],
    [{ olderThanMs: 3_600_000 }, ['boot-mid', 'boot-old']],
    [{ maxBytes: 0 }, ['boot-mid', 'boot-new', 'boot-old']],
    [{ maxBytes: 350_000 }, ['boot-mid', 'boot-old']],
    [{ maxBytes: 700_000 }, ['boot-old']],
    [{ maxBytes: 10_000_000 }, []],
    [{ maxBytes: 700_000, olderThanMs: 3_600_000 }, ['boot-mid', 'boot-old']],
  ])('by age and budget: %j removes %j', async (options, expected) => {
    const dry = await pruneBootSnapshots(paths(), { ...options, dryRun: true });
    expect(dry.names.sort()).toEqual(expected);
    expect(await left()).toHaveLength(4);
    expect((await pruneBootSnapshots(paths(), options)).names.sort()).toEqual(expected);
    expect(await left()).toEqual(
      ['0123456789ab', 'boot-mid', 'boot-new', 'boot-old'].filter((name) => !expected.includes(name)),
    );
  });

  it('always takes what cannot be resumed', async () => {
    await make('boot-gone', 0, join(root, 'gone'));
    expect((await pruneBootSnapshots(paths(), { olderThanMs: 1e12 })).names).toEqual(['boot-gone']);
  });
});
