/** Rows PY-38 … PY-41 (artifacts from a registry) and BP-01 … BP-25 (images from a registry). */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EnvironmentStore, nameFromReference } from '../../src/environments/index.js';
import { HearthError } from '../../src/errors/index.js';
import { parseReference } from '../../src/oci/index.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { imageOf, layerOf, pushImages } from '../support/registry-images.js';
import { type Bench, BOOT_FILES, catalogOf, KERNEL_NAME, listOf, openBench, recorder } from './support.js';

const BASE = layerOf({ 'etc/os-release': 'ID=test\n', 'bin/sh': 'shell' });
const IMAGE = imageOf([BASE, layerOf({ 'etc/motd': 'hello\n' })], {
  run: { Env: ['A=1', 'B=2'], WorkingDir: '/work', User: '1000:1000', Entrypoint: ['/bin/sh'], Cmd: ['-l'] },
});
const OTHER = imageOf([BASE, layerOf({ 'etc/motd': 'other\n' })]);
const ARTIFACT = imageOf([
  layerOf({ vmlinux: BOOT_FILES.vmlinux }),
  layerOf({ 'rootfs.ext4': BOOT_FILES['rootfs.ext4'] }),
]);
const NO_SOURCES = catalogOf([{ type: 'profile', profile: 'none' }]);

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
  await pushImages(registry, 'some/org/my-image', 'v2.1', [IMAGE]);
  await pushImages(registry, 'other/org/my-image', 'v2.1', [OTHER]);
  await pushImages(registry, 'artifacts/debian', '1', [ARTIFACT]);
});
afterAll(() => registry.stop());
beforeEach(() => registry.forget());

function blobRequests(): string[] {
  return registry.requests().filter((line) => line.startsWith('GET') && line.includes('/blobs/'));
}

/** What debugfs reads from an ext4 image. */
function readFromImage(rootfsPath: string, path: string): string {
  return execFileSync('debugfs', ['-R', `cat ${path}`, rootfsPath], {
    stdio: ['ignore', 'pipe', 'ignore'],
  }).toString();
}

async function openStore(bench: Bench): Promise<EnvironmentStore> {
  return await bench.open({ catalog: NO_SOURCES });
}

describe('names from references', () => {
  const hex = 'abcdef0123456789'.repeat(4);
  it.each([
    ['BP-02', 'docker.io/library/debian:bookworm', 'debian-bookworm'],
    ['BP-03', 'alpine:3.20', 'alpine-3-20'],
    ['BP-04', 'docker.io/library/debian', 'debian'],
    ['BP-04', 'docker.io/library/debian:latest', 'debian'],
    ['BP-05', 'ghcr.io/some/org/my-image:v2.1', 'my-image-v2-1'],
    ['BP-06', `ghcr.io/some/org/my-image@sha256:${hex}`, 'my-image-abcdef012345'],
    ['BP-06', `ghcr.io/some/org/my-image:v2.1@sha256:${hex}`, 'my-image-v2-1'],
    ['upper case and underscores', 'localhost:5000/a/my__image:V1_0', 'my-image-v1-0'],
  ])('%s %s is %s', (_row, reference, name) => {
    expect(nameFromReference(parseReference(reference))).toBe(name);
  });
});

describe('artifacts', () => {
  it('PY-38 PY-39 PY-40 PY-41 a catalog source whose layers hold kernel and rootfs', async () => {
    const bench = openBench();
    const source = { type: 'oci', reference: `${registry.host}/artifacts/debian:1` };
    const store = await bench.open({ catalog: catalogOf([source]) });
    const environment = await store.pull('debian:12');
    expect(readFileSync(environment.kernelPath, 'utf8')).toBe(BOOT_FILES.vmlinux);
    expect(readFileSync(environment.rootfsPath, 'utf8')).toBe(BOOT_FILES['rootfs.ext4']);
    const { digest } = ARTIFACT.manifest;
    expect(environment.source).toBe(`oci://${registry.host}/artifacts/debian@${digest}`);
    expect(environment.sourceDigest).toBe(digest);
    const manifest = JSON.parse(readFileSync(environment.manifestPath, 'utf8'));
    expect(manifest.source_digest).toBe(digest);
    expect(blobRequests()).toHaveLength(3);
  });

  it('PY-43 a digest in the catalog pins the source', async () => {
    const reference = `${registry.host}/artifacts/debian:1`;
    const digest = `sha256:${'0'.repeat(64)}`;
    const store = await openBench().open({ catalog: catalogOf([{ type: 'oci', reference, digest }]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  });

  it('refuses an artifact without a rootfs', async () => {
    const bench = openBench();
    await pushImages(registry, 'artifacts/half', '1', [imageOf([layerOf({ vmlinux: 'k' })])]);
    const store = await openStore(bench);
    await expect(store.pull(`${registry.host}/artifacts/half:1`)).rejects.toMatchObject({
      code: 'ARCHIVE_INVALID',
    });
    expect(bench.entries()).toEqual([]);
  });
});

describe('images', () => {
  it('BP-01 BP-05 BP-07 BP-08 BP-19 BP-24 installs rootfs, kernel, initrd and modules under a derived name', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const progress = recorder();
    const environment = await store.pull(`${registry.host}/some/org/my-image:v2.1`, progress);
    expect(environment).toMatchObject({
      installed: true,
      name: 'my-image-v2-1',
      origin: 'reference',
      reference: `${registry.host}/some/org/my-image:v2.1`,
      kernel: { name: KERNEL_NAME, release: '6.1.0-test' },
      imageConfig: {
        env: ['A=1', 'B=2'],
        workingDir: '/work',
        user: '1000:1000',
        entrypoint: ['/bin/sh'],
        cmd: ['-l'],
      },
    });
    expect(environment.directory.startsWith(join(bench.paths.data, 'environments'))).toBe(true);
    expect(listOf(environment.directory)).toEqual([
      ...['environment.json', 'initrd', 'kernel.json', 'modules', 'rootfs.ext4', 'vmlinux'],
    ]);
    expect(readFromImage(environment.rootfsPath, '/etc/motd')).toBe('hello\n');
    execFileSync('e2fsck', ['-fn', environment.rootfsPath], { stdio: 'pipe' });
    expect(progress.phases()).toEqual(['resolve', 'download', 'convert', 'install', 'ready']);
  });

  it('BP-09 BP-20 leaves one directory, published by one rename, and no staging', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const { version } = await store.pull(`${registry.host}/some/org/my-image:v2.1`);
    expect(version).toBe(IMAGE.manifest.digest.slice('sha256:'.length, 'sha256:'.length + 12));
    expect(bench.entries()).toEqual([`my-image-v2-1-${version}`]);
  });

  it('BP-10 a taken name is refused before anything is asked of the registry', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    await store.pull(`${registry.host}/some/org/my-image:v2.1`);
    registry.forget();
    await expect(store.pull(`${registry.host}/other/org/my-image:v2.1`)).rejects.toMatchObject({
      code: 'ENVIRONMENT_EXISTS',
      message: expect.stringContaining('already exists'),
    });
    await expect(
      store.pull(`${registry.host}/other/org/my-image:v2.1`, { name: 'debian:12' }),
    ).rejects.toMatchObject({ code: 'ENVIRONMENT_EXISTS' });
    expect(registry.requests()).toEqual([]);
    const named = await store.pull(`${registry.host}/other/org/my-image:v2.1`, { name: 'mine' });
    expect(named.name).toBe('mine');
  });

  it('BP-10 who only wants to run an image gets a name of its own', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    await store.pull(`${registry.host}/some/org/my-image:v2.1`);
    const other = await store.ensureInstalled(`${registry.host}/other/org/my-image:v2.1`);
    expect(other.name).toMatch(/^my-image-v2-1-[0-9a-f]{6}$/);
    registry.forget();
    const again = await store.ensureInstalled(`${registry.host}/other/org/my-image:v2.1`);
    expect(again.directory).toBe(other.directory);
    expect(registry.requests()).toEqual([]);
  });

  it('BP-11 no kernel, given or by default, is an error that says so', async () => {
    const bench = openBench();
    const catalog = catalogOf([{ type: 'profile', profile: 'none' }], { defaultKernel: undefined });
    const store = await bench.open({ catalog });
    await expect(store.pull(`${registry.host}/some/org/my-image:v2.1`)).rejects.toMatchObject({
      code: 'USAGE_INVALID',
      message: expect.stringContaining('kernel'),
    });
    const rootfsPath = join(bench.root, 'rootfs.ext4');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', rootfsPath, '1M']);
    await expect(store.register('mine', { rootfsPath })).rejects.toMatchObject({
      message: expect.stringContaining('kernel'),
    });
    expect(registry.requests()).toEqual([]);
    expect(bench.entries()).toEqual([]);
  });

  it('BP-12 BP-22 a failing pull is passed on with its cause, and no staging is left', async () => {
    const bench = openBench();
    const borked = new HearthError('REGISTRY_UNAVAILABLE', 'network borked');
    const pull = async (): Promise<never> => {
      throw borked;
    };
    const store = await bench.open({ catalog: NO_SOURCES, parts: { pull } });
    await expect(store.pull('ghcr.io/some/org/my-image:v2.1')).rejects.toBe(borked);
    expect(bench.entries()).toEqual([]);
    const buildRootfs = async (): Promise<never> => {
      throw borked;
    };
    const converting = await bench.open({ catalog: NO_SOURCES, parts: { buildRootfs } });
    await expect(converting.pull(`${registry.host}/some/org/my-image:v2.1`)).rejects.toBe(borked);
    expect(bench.entries()).toEqual([]);
  });

  it('BP-13 the reference is checked first', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    for (const text of ['ghcr.io/UPPER/case', 'x@sha256:1', 'https://ghcr.io/a/b']) {
      await expect(store.pull(text)).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
    }
    for (const text of ['', 'a b', 'UPPER']) {
      await expect(store.pull(text)).rejects.toMatchObject({ code: 'ENVIRONMENT_NOT_FOUND' });
    }
    expect(bench.kernelFetches).toEqual([]);
    expect(existsSync(join(bench.paths.data, 'environments'))).toBe(false);
  });

  it('BP-14 BP-15 kernel inputs: a name or files that exist, by one rule for pull and register', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    const kernelPath = join(bench.root, 'vmlinuz');
    writeFileSync(kernelPath, 'k');
    const rootfsPath = join(bench.root, 'rootfs.ext4');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', rootfsPath, '1M']);
    const wrong = [
      [{ kernel: KERNEL_NAME, kernelPath }, 'USAGE_INVALID'],
      [{ initrdPath: kernelPath }, 'USAGE_INVALID'],
      [{ kernelPath: join(bench.root, 'nothing') }, 'FILE_NOT_FOUND'],
      [{ kernelPath, initrdPath: join(bench.root, 'nothing') }, 'FILE_NOT_FOUND'],
      [{ kernelPath, modulesDirectory: kernelPath }, 'USAGE_INVALID'],
      [{ kernelPath: bench.root }, 'USAGE_INVALID'],
    ] as const;
    for (const [choice, code] of wrong) {
      await expect(store.pull(reference, choice)).rejects.toMatchObject({ code });
      await expect(store.register('mine', { ...choice, rootfsPath })).rejects.toMatchObject({ code });
    }
    expect(registry.requests()).toEqual([]);
  });

  it('BP-08 BP-16 BP-23 kernel, initrd and modules as files are taken as they are, by pull and by register', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const kernelPath = join(bench.root, 'vmlinuz');
    const initrdPath = join(bench.root, 'initrd.img');
    const modulesDirectory = join(bench.root, 'modules');
    writeFileSync(kernelPath, 'my kernel');
    writeFileSync(initrdPath, 'my initrd');
    mkdirSync(join(modulesDirectory, 'kernel'), { recursive: true });
    writeFileSync(join(modulesDirectory, 'kernel', 'a.ko'), 'module');
    const rootfsPath = join(bench.root, 'rootfs.ext4');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', rootfsPath, '1M']);
    const choice = { kernelPath, initrdPath, modulesDirectory };
    const pulled = await store.pull(`${registry.host}/some/org/my-image:v2.1`, {
      ...choice,
      name: 'pulled',
      sizeBytes: 64 * 1024 ** 2,
    });
    const registered = await store.register('registered', { ...choice, rootfsPath });
    for (const environment of [pulled, registered]) {
      expect(readFileSync(environment.kernelPath, 'utf8')).toBe('my kernel');
      expect(readFileSync(environment.initrdPath!, 'utf8')).toBe('my initrd');
      expect(listOf(join(environment.directory, 'modules', 'kernel'))).toEqual(['a.ko']);
      expect(environment.installManifest.agent_digest).toBe(null);
    }
    expect(statSync(pulled.rootfsPath).size).toBe(64 * 1024 ** 2);
    expect(registered).toMatchObject({ origin: 'registered', source: 'registered' });
    expect(readFileSync(registered.rootfsPath).equals(readFileSync(rootfsPath))).toBe(true);
    expect(bench.kernelFetches).toEqual([]);
    expect(await store.ensureInstalled('registered')).toMatchObject({ directory: registered.directory });
  });

  it('BP-17 layers stay in the blob store, and a second pull fetches none of them', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    await store.pull(reference);
    expect(blobRequests()).toHaveLength(3);
    await store.remove('my-image-v2-1');
    registry.forget();
    await store.pull(reference);
    expect(blobRequests()).toEqual([]);
    expect(listOf(join(bench.paths.cache, 'blobs', 'blobs', 'sha256')).length).toBeGreaterThanOrEqual(4);
  });

  it('BP-18 the size is a quarter more than the content but at least 1 GiB, or what is asked for', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    const usual = await store.pull(reference);
    expect(statSync(usual.rootfsPath).size).toBe(1024 ** 3);
    expect(statSync(usual.rootfsPath).blocks * 512).toBeLessThan(64 * 1024 ** 2);
    const small = await store.pull(reference, { name: 'small', sizeBytes: 32 * 1024 ** 2 });
    expect(statSync(small.rootfsPath).size).toBe(32 * 1024 ** 2);
    const larger = await store.pull(reference, { name: 'small', sizeBytes: 48 * 1024 ** 2 });
    expect(larger.directory).toBe(small.directory);
    expect(statSync(larger.rootfsPath).size).toBe(48 * 1024 ** 2);
  });

  it('BP-21 a failure at the last step before publication leaves neither staging nor install', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const stop = new AbortController();
    const onProgress = ({ phase }: { phase: string }): void => {
      if (phase === 'install') stop.abort(new Error('at the last moment'));
    };
    await expect(
      store.pull(`${registry.host}/some/org/my-image:v2.1`, { onProgress, signal: stop.signal }),
    ).rejects.toThrow('at the last moment');
    expect(bench.entries()).toEqual([]);
  });

  it('BP-25 needs neither mkfs.ext4 nor debugfs of the host', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const { PATH } = process.env;
    const bin = join(bench.root, 'bin');
    mkdirSync(bin);
    execFileSync('ln', ['-s', execFileSync('which', ['flock']).toString().trim(), join(bin, 'flock')]);
    process.env.PATH = bin;
    try {
      expect(await store.pull(`${registry.host}/some/org/my-image:v2.1`)).toMatchObject({ installed: true });
    } finally {
      process.env.PATH = PATH;
    }
  });
});

describe('one reference, one install', () => {
  it('different spellings hit the same install', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const spellings = [
      `${registry.host}/some/org/my-image:v2.1`,
      `${registry.host.replace('127.0.0.1', '127.0.0.01')}/some/org/my-image:v2.1`,
      'my-image-v2-1',
    ];
    const directories = new Set<string>();
    for (const spelling of spellings) directories.add((await store.ensureInstalled(spelling)).directory);
    expect(directories.size).toBe(1);
    expect(blobRequests()).toHaveLength(3);
  });

  it('BA-03 those who wait for somebody else to install it ask the registry nothing', async () => {
    const bench = openBench();
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    const stores = await Promise.all([1, 2, 3, 4].map(() => openStore(bench)));
    await Promise.all(stores.map((store) => store.ensureInstalled(reference)));
    expect(registry.requests().filter((line) => line.includes('/manifests/'))).toHaveLength(1);
  });

  it('an install wins over a name of the catalog', async () => {
    const store = await openStore(openBench());
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    const mine = await store.pull(reference, { name: 'debian-bookworm' });
    expect((await store.ensureInstalled('debian-bookworm')).directory).toBe(mine.directory);
    expect((await store.inspect('debian-bookworm')).directory).toBe(mine.directory);
  });

  it('a damaged kernel of the kernel store does not become the truth of an install', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const { vmlinuxPath } = await store.ensureKernel(KERNEL_NAME);
    writeFileSync(vmlinuxPath, 'damaged');
    await expect(store.pull(`${registry.host}/some/org/my-image:v2.1`)).rejects.toMatchObject({
      code: 'KERNEL_CORRUPT',
    });
    expect(bench.entries()).toEqual([]);
  });

  it('--force installs again, and --kernel another kernel under the same name', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    const first = await store.pull(reference);
    expect((await store.pull(reference)).installedAt).toBe(first.installedAt);
    const forced = await store.pull(reference, { force: true });
    expect(forced.directory).toBe(first.directory);
    expect(forced.installedAt).not.toBe(first.installedAt);
    expect(forced.rootfsDigest).toBe(first.rootfsDigest);
    const other = await store.pull(reference, { kernel: 'generic' });
    expect(other.kernel?.name).toBe('generic');
    expect(bench.entries()).toHaveLength(1);
  });

  it('--platform takes variants of linux/amd64 and nothing else', async () => {
    const store = await openStore(openBench());
    const reference = `${registry.host}/some/org/my-image:v2.1`;
    await expect(store.pull(reference, { platform: 'linux/arm64' })).rejects.toMatchObject({
      code: 'PLATFORM_INVALID',
    });
    expect(await store.pull(reference, { platform: 'linux/amd64/v3' })).toMatchObject({ installed: true });
  });

  it('removing the kernel of the kernel store does not touch an environment', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const environment = await store.pull(`${registry.host}/some/org/my-image:v2.1`);
    rmSync(join(bench.root, 'kernels'), { recursive: true });
    expect((await store.verify(['my-image-v2-1']))[0]).toMatchObject({ ok: true });
    expect(readFileSync(environment.kernelPath, 'utf8')).toBe(`vmlinux of ${KERNEL_NAME}`);
  });

  it('a new agent gets into the initrd of an environment that was made with an older one', async () => {
    const bench = openBench();
    const store = await openStore(bench);
    const name = 'my-image-v2-1';
    const before = await store.ensureInstalled(`${registry.host}/some/org/my-image:v2.1`);
    expect(readFileSync(before.initrdPath!).includes('agent')).toBe(true);
    expect(before.initrdPath).toBe(join(before.directory, 'initrd'));
    rmSync(join(bench.root, 'kernels'), { recursive: true });
    writeFileSync(bench.agentPath, 'a newer one');
    const after = await store.ensureInstalled(name);
    expect(after.initrdPath).not.toBe(before.initrdPath);
    expect(readFileSync(after.initrdPath!).includes('a newer one')).toBe(true);
    expect(readFileSync(after.initrdPath!).includes('module')).toBe(true);
  });
});
