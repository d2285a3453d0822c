/** Lock files, `cache df`, `cache prune`, and listings of what is broken. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EnvironmentStore, encodeLockfile, parseLockfile } from '../../src/environments/index.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { imageOf, layerOf, noise, pushImages } from '../support/registry-images.js';
import {
  type Bench,
  BOOT_FILES,
  catalogOf,
  listOf,
  openBench,
  PLATFORM_DIRECTORY,
  putArchive,
  putProfile,
} from './support.js';

const SHARED = layerOf({ 'bin/large': noise(256 * 1024) }, 0);
const IMAGE = imageOf([SHARED, layerOf({ 'etc/motd': 'one' })]);
const MOVED = imageOf([SHARED, layerOf({ 'etc/motd': 'two' })]);
const NO_SOURCES = [{ type: 'profile', profile: 'none' }];

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.stop());
beforeEach(async () => {
  await pushImages(registry, 'image', 'one', [IMAGE]);
  registry.forget();
});

async function openStore(
  bench: Bench,
  sources: readonly Record<string, unknown>[] = NO_SOURCES,
): Promise<EnvironmentStore> {
  return await bench.open({ catalog: catalogOf(sources) });
}

describe('the saved VMs of an environment', () => {
  it('go with it, counted as freed, and no others', async () => {
    const bench = openBench();
    putArchive(bench, 'environment.tgz', BOOT_FILES);
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await openStore(bench, [{ type: 'profile', profile: 'debian-git' }]);
    const { directory } = await store.pull('debian:12');
    const root = join(bench.paths.data, 'snapshots');
    const save = (name: string, record: string): void => {
      mkdirSync(join(root, name), { recursive: true });
      writeFileSync(join(root, name, 'snapshot.json'), record);
      writeFileSync(join(root, name, 'memory'), noise(1024 * 1024));
    };
    save('boot-0123456789abcdef01234567', JSON.stringify({ rootfsPath: `${directory}/rootfs.ext4` }));
    save('boot-1123456789abcdef01234567', JSON.stringify({ rootfsPath: `${directory}-2/rootfs.ext4` }));
    save('boot-2123456789abcdef01234567', 'damaged');
    save('snap-0123456789ab', JSON.stringify({ rootfsPath: `${directory}/rootfs.ext4` }));
    const before = (await store.cacheUsage()).kinds.snapshots;
    expect(before.count).toBe(4);
    expect(before.allocatedBytes).toBeGreaterThanOrEqual(4 * 1024 * 1024);
    const { freedBytes } = await store.remove('debian:12');
    expect(freedBytes).toBeGreaterThanOrEqual(1024 * 1024);
    expect(listOf(root)).toEqual([
      'boot-1123456789abcdef01234567',
      'boot-2123456789abcdef01234567',
      'snap-0123456789ab',
    ]);
  });
});

describe('lock files', () => {
  it('reproduce an image exactly on another machine, although its tag has moved', async () => {
    const here = await openStore(openBench());
    const environment = await here.pull(`${registry.host}/image:one`, { sizeBytes: 64 * 1024 ** 2 });
    const lockfile = await here.lock();
    expect(lockfile.environments).toMatchObject([
      {
        name: 'image-one',
        reference: `${registry.host}/image:one`,
        manifestDigest: IMAGE.manifest.digest,
        layerDigests: IMAGE.layers.map(({ digest }) => digest),
        rootfsDigest: environment.rootfsDigest,
        requestedSizeBytes: 64 * 1024 ** 2,
        kernelName: 'debian-12-cloud',
      },
    ]);
    await pushImages(registry, 'image', 'one', [MOVED]);
    const bench = openBench();
    const there = await openStore(bench);
    const text = encodeLockfile(lockfile);
    const [made] = await there.pullLocked(parseLockfile(text));
    expect(made).toMatchObject({ name: 'image-one', rootfsDigest: environment.rootfsDigest });
    expect(encodeLockfile(await there.lock(['image-one']))).toBe(text);
    registry.forget();
    await there.pullLocked(lockfile, { offline: true });
    expect(registry.requests()).toEqual([]);
  });

  it('fail when the result would differ, and leave what is installed', async () => {
    const here = await openStore(openBench());
    await here.pull(`${registry.host}/image:one`);
    const lockfile = await here.lock();
    const bench = openBench();
    const there = await openStore(bench);
    for (const change of [
      { rootfsDigest: `ext4-sha256:${'0'.repeat(64)}` },
      { kernelDigest: `sha256:${'0'.repeat(64)}` },
    ]) {
      const environments = lockfile.environments.map((one) => ({ ...one, ...change }));
      await expect(there.pullLocked({ ...lockfile, environments })).rejects.toMatchObject({
        code: 'LOCKFILE_MISMATCH',
        details: { environment: 'image-one', what: Object.keys(change)[0] },
      });
      expect(bench.entries()).toEqual([]);
    }
  });

  it('cover archives, profiles and what was registered', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    putProfile(bench, 'debian-git', BOOT_FILES);
    const rootfsPath = join(bench.root, 'rootfs.ext4');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', rootfsPath, '1M']);
    for (const source of [
      { type: 'archive', url },
      { type: 'profile', profile: 'debian-git' },
    ]) {
      const store = await openStore(bench, [source]);
      await store.pull('debian:12');
      const lockfile = await store.lock(['debian:12']);
      await store.remove('debian:12');
      expect(await store.pullLocked(lockfile)).toHaveLength(1);
      expect(await store.lock(['debian:12'])).toEqual(lockfile);
      await store.remove('debian:12');
    }
    const store = await openStore(bench);
    await store.register('mine', { rootfsPath, kernel: 'generic' });
    const lockfile = await store.lock();
    expect(await store.pullLocked(lockfile)).toMatchObject([{ name: 'mine' }]);
    await store.remove('mine');
    await expect(store.pullLocked(lockfile)).rejects.toMatchObject({ code: 'LOCKFILE_MISMATCH' });
  });

  it.each([
    ['', 'LOCKFILE_INVALID'],
    ['[]', 'LOCKFILE_INVALID'],
    ['{"lockfileVersion":2,"writerVersion":"x","environments":[]}', 'LOCKFILE_INVALID'],
    ['{"lockfileVersion":1,"writerVersion":"x","environments":[{"name":"../x"}]}', 'LOCKFILE_INVALID'],
  ])('%j is refused', (text, code) => {
    expect(() => parseLockfile(text)).toThrow(expect.objectContaining({ code }));
  });

  it('refuse to record what is broken or not there', async () => {
    const store = await openStore(openBench());
    const { rootfsPath } = await store.pull(`${registry.host}/image:one`);
    rmSync(rootfsPath);
    await expect(store.lock(['image-one'])).rejects.toMatchObject({ code: 'ENVIRONMENT_BROKEN' });
    await expect(store.lock(['ghost'])).rejects.toMatchObject({ code: 'ENVIRONMENT_NOT_FOUND' });
    expect((await store.lock()).environments).toEqual([]);
  });
});

describe('cache df', () => {
  it('has apparent and allocated sizes of every kind, and why each is kept', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    expect((await store.cacheUsage()).total).toEqual({ apparentBytes: 0, allocatedBytes: 0 });
    const { directory } = await store.pull(`${registry.host}/image:one`);
    mkdirSync(join(bench.paths.data, 'environments', PLATFORM_DIRECTORY, '.partial-abc'));
    writeFileSync(join(bench.paths.data, 'environments', PLATFORM_DIRECTORY, '.partial-abc', 'x'), 'x');
    const usage = await store.cacheUsage();
    const rootfs = usage.items.find(({ path }) => path === directory);
    expect(rootfs).toMatchObject({
      kind: 'environments',
      isRemovable: false,
      why: expect.stringContaining('env rm'),
    });
    expect(rootfs?.apparentBytes).toBeGreaterThan(1024 ** 3);
    expect(rootfs?.allocatedBytes).toBeLessThan(64 * 1024 ** 2);
    expect(usage.kinds.blobs).toMatchObject({ count: 1 });
    expect(usage.kinds.staging).toMatchObject({ count: 1, apparentBytes: 1 });
    expect(usage.kinds.initrds.count).toBe(1);
    const sum = Object.values(usage.kinds).reduce((total, { allocatedBytes }) => total + allocatedBytes, 0);
    expect(sum).toBe(usage.total.allocatedBytes);
    const inUse = await bench.open({ catalog: catalogOf(NO_SOURCES), isInUse: async () => ['my-box'] });
    expect((await inUse.cacheUsage()).items.find(({ path }) => path === directory)?.why).toBe(
      'used by my-box',
    );
  });
});

describe('cache prune', () => {
  const blobsIn = (bench: Bench): string[] => listOf(join(bench.paths.cache, 'blobs', 'blobs', 'sha256'));

  /** Makes blobs look as if they had been written that long ago. */
  function age(bench: Bench, digests: readonly string[], ms: number): void {
    const then = new Date(Date.now() - ms);
    for (const digest of digests) {
      utimesSync(
        join(bench.paths.cache, 'blobs', 'blobs', 'sha256', digest.slice('sha256:'.length)),
        then,
        then,
      );
    }
  }

  const digestsOf = (image: typeof IMAGE): string[] => [
    image.manifest.digest,
    image.config.digest,
    ...image.layers.map(({ digest }) => digest),
  ];

  it('removes all that can be fetched again, and no environment needs it', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    await store.pull(`${registry.host}/image:one`);
    const dry = await store.pruneCache({ dryRun: true });
    expect(blobsIn(bench)).toHaveLength(4);
    const real = await store.pruneCache();
    expect({ ...real, dryRun: true }).toEqual(dry);
    expect(real).toMatchObject({ blobsRemoved: 4, initrdsRemoved: 1 });
    expect(blobsIn(bench)).toEqual([]);
    expect((await store.verify(['image-one']))[0]).toMatchObject({ ok: true });
    expect(await store.pruneCache()).toMatchObject({ freedBytes: 0, blobsRemoved: 0 });
  });

  it('by age keeps what is young, with all that it leads to', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    await store.pull(`${registry.host}/image:one`);
    await pushImages(registry, 'image', 'two', [MOVED]);
    await store.pull(`${registry.host}/image:two`);
    age(bench, digestsOf(IMAGE), 3_600_000);
    const options = { olderThanMs: 1_800_000 };
    const dry = await store.pruneCache({ ...options, dryRun: true });
    const result = await store.pruneCache(options);
    expect({ ...result, dryRun: true }).toEqual(dry);
    expect(result.forgottenReferences).toHaveLength(1);
    expect(blobsIn(bench).sort()).toEqual(
      digestsOf(MOVED)
        .map((digest) => digest.slice('sha256:'.length))
        .sort(),
    );
    registry.forget();
    await store.remove('image-two');
    await store.pull(`${registry.host}/image:two`, { offline: true });
    expect(registry.requests()).toEqual([]);
  });

  it('by budget keeps the newest', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    await store.pull(`${registry.host}/image:one`);
    const total = (await store.cacheUsage()).kinds.blobs.apparentBytes;
    expect(await store.pruneCache({ maxBytes: total })).toMatchObject({ blobsRemoved: 0 });
    age(bench, [SHARED.digest], 3_600_000);
    age(bench, [IMAGE.manifest.digest], 7_200_000);
    await store.pruneCache({ maxBytes: 64 * 1024 });
    expect(blobsIn(bench)).not.toContain(SHARED.digest.slice('sha256:'.length));
    expect(blobsIn(bench)).not.toEqual([]);
  });
});

describe('listings', () => {
  it('show what is broken and what is not of the catalog', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await openStore(bench, [{ type: 'profile', profile: 'debian-git' }]);
    await store.pull('debian:12');
    const { kernelPath } = await store.pull(`${registry.host}/image:one`);
    rmSync(kernelPath);
    expect(await store.list()).toMatchObject([
      { name: 'debian:12', state: 'installed', origin: 'catalog', isDefault: true },
      {
        name: 'image-one',
        state: 'broken',
        installed: false,
        origin: 'reference',
        reference: `${registry.host}/image:one`,
        isDefault: false,
      },
    ]);
    expect(await store.inspect('image-one')).toMatchObject({
      installed: false,
      problems: ['vmlinux is missing'],
    });
    expect(await store.remove('image-one')).toMatchObject({
      name: 'image-one',
      freedBytes: expect.any(Number),
    });
    await expect(store.remove('image-one')).rejects.toMatchObject({ code: 'ENVIRONMENT_NOT_FOUND' });
  });

  it('verify takes names, references and all', async () => {
    const store = await openStore(openBench());
    const reference = `${registry.host}/image:one`;
    await store.pull(reference);
    for (const results of [
      await store.verify([reference]),
      await store.verify(['image-one']),
      await store.verify([], { all: true }),
    ]) {
      expect(results).toMatchObject([{ name: 'image-one', ok: true }]);
    }
    await expect(store.verify(['ghost'])).rejects.toMatchObject({ code: 'ENVIRONMENT_NOT_FOUND' });
  });

  it('register makes holes of zeros', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const rootfsPath = join(bench.root, 'rootfs.ext4');
    writeFileSync(rootfsPath, Buffer.alloc(32 * 1024 ** 2));
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-F', '-E', 'nodiscard', rootfsPath]);
    expect(statSync(rootfsPath).blocks * 512).toBeGreaterThanOrEqual(32 * 1024 ** 2);
    const { rootfsPath: copy } = await store.register('mine', { rootfsPath, kernel: 'generic' });
    expect(statSync(copy).size).toBe(32 * 1024 ** 2);
    expect(statSync(copy).blocks * 512).toBeLessThan(8 * 1024 ** 2);
  });

  it('register refuses what is taken and what is no ext4 image, and replaces its own with --force', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const rootfsPath = join(bench.root, 'rootfs.ext4');
    writeFileSync(rootfsPath, 'text');
    const options = { rootfsPath, kernel: 'generic' };
    await expect(store.register('mine', options)).rejects.toMatchObject({ code: 'USAGE_INVALID' });
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', '-F', rootfsPath, '1M']);
    const first = await store.register('mine', options);
    await expect(store.register('mine', options)).rejects.toMatchObject({ code: 'ENVIRONMENT_EXISTS' });
    await expect(store.register('debian:12', options)).rejects.toMatchObject({ code: 'ENVIRONMENT_EXISTS' });
    await expect(store.register('Mine!', options)).rejects.toMatchObject({ code: 'NAME_INVALID' });
    const again = await store.register('mine', { ...options, force: true });
    expect(again.directory).toBe(first.directory);
    expect(readFileSync(again.rootfsPath).equals(readFileSync(rootfsPath))).toBe(true);
    rmSync(again.rootfsPath);
    await expect(store.ensureInstalled('mine')).rejects.toMatchObject({ code: 'ENVIRONMENT_BROKEN' });
  });
});
