/** What can go wrong around an install. Reliability rows 6 … 20, as far as environments decide them. */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Environment, EnvironmentStore } from '../../src/environments/index.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { imageOf, layerOf, noise, pushImages } from '../support/registry-images.js';
import { quickest } from '../support/timing.js';
import { transpileSources } from '../support/transpile.js';
import {
  type Bench,
  BOOT_FILES,
  catalogDocument,
  catalogOf,
  listOf,
  openBench,
  putProfile,
  writeFakeKernel,
} from './support.js';

const SHARED = layerOf({ 'bin/large': noise(1024 ** 2) }, 0);
const IMAGE = imageOf([SHARED, layerOf({ 'etc/motd': 'one' })]);
const MOVED = imageOf([SHARED, layerOf({ 'etc/motd': 'two' })]);
const NO_SOURCES = [{ type: 'profile', profile: 'none' }];
const MIB = 1024 ** 2;

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.stop());
beforeEach(async () => {
  await pushImages(registry, 'image', 'one', [IMAGE]);
  registry.forget();
});
afterEach(() => {
  vi.useRealTimers();
});

async function pulled(
  bench: Bench,
): Promise<{ store: EnvironmentStore; environment: Environment; reference: string }> {
  const store = await bench.open({ catalog: catalogOf(NO_SOURCES) });
  const reference = `${registry.host}/image:one`;
  return { store, reference, environment: await store.pull(reference) };
}

/** Changes one byte; the size stays. */
function flip(path: string, offset = Math.floor(statSync(path).size / 2)): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 0xff, offset);
  writeFileSync(path, bytes);
}

describe('6: a damaged blob of the cache', () => {
  const damages: [string, (path: string) => void][] = [
    ['flipped', (path) => flip(path)],
    ['cut', (path) => truncateSync(path, 10)],
    ['emptied', (path) => truncateSync(path, 0)],
    ['deleted', (path) => unlinkSync(path)],
    [
      'a dangling link',
      (path) => {
        unlinkSync(path);
        symlinkSync('/nonexistent', path);
      },
    ],
    [
      'a directory',
      (path) => {
        unlinkSync(path);
        mkdirSync(path);
      },
    ],
  ];
  it.each(damages)('%s is never used and fetched again', async (_name, damage) => {
    const bench = openBench();
    const { store, environment, reference } = await pulled(bench);
    await store.remove(environment.name);
    damage(join(bench.paths.cache, 'blobs', 'blobs', 'sha256', SHARED.digest.slice('sha256:'.length)));
    const again = await store.pull(reference);
    expect(again.rootfsDigest).toBe(environment.rootfsDigest);
  });
});

describe('7: a damaged boot artifact', () => {
  const files = ['rootfs.ext4', 'vmlinux', 'initrd', 'environment.json', 'modules/kernel/virtio_blk.ko'];
  const damages: [string, (path: string) => void][] = [
    ['flipped', (path) => flip(path, path.endsWith('rootfs.ext4') ? 1024 + 0x38 : 2)],
    ['cut', (path) => truncateSync(path, 1)],
    ['missing', (path) => unlinkSync(path)],
  ];
  it.each(damages)('%s makes the install broken, and the next pull repairs it', async (_name, damage) => {
    const bench = openBench();
    const { store, environment, reference } = await pulled(bench);
    for (const file of files) {
      damage(join(environment.directory, file));
      const isNamed = file !== 'environment.json';
      if (isNamed) {
        const { installed, problems } = await store.inspect(environment.name);
        expect(installed).toBe(false);
        expect(problems.join()).toContain(file);
      }
      const [verified] = await store.verify([], { all: true });
      expect(verified).toMatchObject({ ok: false });
      const again = await store.ensureInstalled(reference);
      expect(again.directory).toBe(environment.directory);
      expect(again.rootfsDigest).toBe(environment.rootfsDigest);
      expect((await store.verify([environment.name]))[0]).toMatchObject({ ok: true, problems: [] });
    }
    expect(bench.entries()).toHaveLength(1);
  });

  it('a flipped byte behind an unchanged size and time is found by verify', async () => {
    const { store, environment } = await pulled(openBench());
    const path = environment.kernelPath;
    const times = `${path}.times`;
    execFileSync('touch', ['-r', path, times]);
    flip(path);
    execFileSync('touch', ['-r', times, path]);
    unlinkSync(times);
    expect((await store.inspect(environment.name)).installed).toBe(true);
    expect((await store.verify([environment.name]))[0]).toMatchObject({ ok: false });
  });

  it('a copy of an install, with other times, is as valid as the install', async () => {
    const { store, environment } = await pulled(openBench());
    const copy = `${environment.rootfsPath}.copy`;
    execFileSync('cp', ['--sparse=always', environment.rootfsPath, copy]);
    unlinkSync(environment.rootfsPath);
    execFileSync('mv', [copy, environment.rootfsPath]);
    expect((await store.inspect(environment.name)).installed).toBe(true);
  });

  it('one that is open stays what it was while it is repaired', async () => {
    const { store, environment, reference } = await pulled(openBench());
    const reader = spawn('sh', [
      '-c',
      'exec 3<"$0"; echo open; read go; sha256sum <&3',
      environment.kernelPath,
    ]);
    await once(reader.stdout, 'data');
    const before = execFileSync('sha256sum', { input: readFileSync(environment.kernelPath) }).toString();
    unlinkSync(environment.rootfsPath);
    await store.pull(reference);
    reader.stdin.write('go\n');
    const [said] = await once(reader.stdout, 'data');
    expect(String(said)).toBe(before);
  });
});

describe('8: a manifest that is not ours', () => {
  const manifests: [string, (text: string) => string][] = [
    ['empty', () => ''],
    ['garbage', () => '\u0000\u0001{'],
    ['of a newer version', (text) => text.replace('"schema_version": 1', '"schema_version": 99')],
    ['of wrong types', () => JSON.stringify({ name: 1, version: 2 })],
    ['of another environment', (text) => text.replace('"name": "image-one"', '"name": "image-two"')],
    ['with a path outside', (text) => text.replace('"initrd": {', '"../../../../etc/passwd": {')],
    ['an array', () => '[]'],
    ['too long', (text) => text + ' '.repeat(9 * MIB)],
  ];
  it.each(manifests)('%s is broken, never followed, and repaired by a pull', async (_name, change) => {
    const bench = openBench();
    const { store, environment, reference } = await pulled(bench);
    writeFileSync(environment.manifestPath, change(readFileSync(environment.manifestPath, 'utf8')));
    expect((await store.list()).filter(({ installed }) => installed)).toEqual([]);
    expect((await store.prune({ dryRun: true })).count).toBe(1);
    expect((await store.pull(reference)).installed).toBe(true);
    expect(bench.entries()).toHaveLength(1);
  });
});

describe('9 10: where the directories are', () => {
  let compiled: string;
  beforeAll(async () => {
    compiled = await transpileSources();
  });
  afterAll(() => rmSync(compiled, { recursive: true, force: true }));

  /** Runs commands in a mount namespace of their own; `$HOME_DIR` is the bench's directory. */
  async function inNamespace(bench: Bench, script: string): Promise<string> {
    const kernel = join(bench.root, 'kernel.json');
    writeFileSync(kernel, JSON.stringify(writeFakeKernel(join(bench.root, 'kernels'), 'debian-12-cloud')));
    const settings = {
      home: bench.root,
      agentPath: bench.agentPath,
      kernel,
      document: catalogDocument(NO_SOURCES),
    };
    const env = {
      ...process.env,
      HOME_DIR: bench.root,
      SETTINGS: JSON.stringify(settings),
      CHILD: join(import.meta.dirname, 'child.mjs'),
      COMPILED: compiled,
      NODE: process.execPath,
    };
    const run = `hearth() { "$NODE" "$CHILD" "$COMPILED" "$SETTINGS" "$1" "$2" 2>&1 | grep -v '^phase'; }`;
    const args = ['--mount', ...(process.geteuid?.() === 0 ? [] : ['--map-root-user'])];
    const { stdout } = await promisify(execFile)('unshare', [...args, 'sh', '-ec', `${run}\n${script}`], {
      env,
    });
    return stdout;
  }

  it('9: a full disk is named, leaves nothing, and does not hinder what is installed', async () => {
    const bench = openBench();
    const data = bench.paths.data;
    const reference = JSON.stringify([`${registry.host}/image:one`]);
    const named = JSON.stringify([`${registry.host}/image:one`, {}]);
    const output = await inNamespace(
      bench,
      `mkdir -p "${data}" && mount -t tmpfs -o size=6m tmpfs "${data}"
       head -c 5600k /dev/zero > "${data}/ballast"
       hearth pull '${reference}' || true
       ls -A "${data}/environments/linux-x86_64"; echo "--"
       rm "${data}/ballast"
       hearth pull '${reference}' | cut -c1-18
       head -c 100m /dev/zero > "${data}/ballast" 2>/dev/null || true
       hearth ensureInstalled '${named.replace(/,\{\}/, '')}' | cut -c1-18`,
    );
    const [full, rest] = output.split('--\n');
    expect(full).toMatch(
      /^DISK_FULL no space left on the file system of \S+\/data\/environments: .* free, and image-one needs about [\d.]+ MiB/,
    );
    expect(full?.trim().split('\n')).toHaveLength(1);
    expect(rest).toBe('{"installed":true,\n{"installed":true,\n');
  });

  it('10: on a read-only file system what is installed is found, and a pull is refused at once', async () => {
    const bench = openBench();
    const reference = JSON.stringify([`${registry.host}/image:one`]);
    const other = JSON.stringify([`${registry.host}/image:one`, { name: 'other' }].slice(0, 1));
    const output = await inNamespace(
      bench,
      `hearth pull '${reference}' | cut -c1-18
       mount --bind "$HOME_DIR" "$HOME_DIR" && mount -o remount,ro,bind "$HOME_DIR"
       hearth ensureInstalled '${reference}' | cut -c1-18
       hearth ensureInstalled '${other.replace('image:one', 'image:other')}' || true`,
    );
    const lines = output.trim().split('\n');
    expect(lines.slice(0, 2)).toEqual(['{"installed":true,', '{"installed":true,']);
    expect(lines[2]).toMatch(/^FILE_UNREADABLE .*EROFS/);
  });
});

describe('11: a directory that others can change', () => {
  it.each([
    ['writable by the group', 0o770],
    ['writable by all', 0o707],
  ])('%s is refused', async (_name, mode) => {
    const bench = openBench();
    const directory = join(bench.paths.data, 'environments');
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, mode);
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([{ type: 'profile', profile: 'debian-git' }]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({
      code: 'STORE_INSECURE',
      details: { path: directory },
    });
  });

  it('a symbolic link, and a file, is refused', async () => {
    const own = mkdtempSync(join(tmpdir(), 'hearth-own-'));
    for (const make of [
      (path: string) => symlinkSync(own, path),
      (path: string) => symlinkSync('/tmp', path),
      (path: string) => writeFileSync(path, ''),
    ]) {
      const bench = openBench();
      mkdirSync(bench.paths.data, { recursive: true });
      make(join(bench.paths.data, 'environments'));
      putProfile(bench, 'debian-git', BOOT_FILES);
      const store = await bench.open({ catalog: catalogOf([{ type: 'profile', profile: 'debian-git' }]) });
      await expect(store.pull('debian:12')).rejects.toMatchObject({
        code: 'STORE_INSECURE',
      });
      expect(readdirSync('/tmp')).not.toContain('linux-x86_64');
    }
    expect(readdirSync(own)).toEqual([]);
    rmSync(own, { recursive: true });
  });
});

describe('13: clocks', () => {
  it.each(['1970-01-01T00:00:10Z', '2106-02-07T06:28:20Z'])(
    'in %s installs, repairs and prunes as ever',
    async (now) => {
      vi.useFakeTimers({ now: new Date(now), toFake: ['Date'] });
      const bench = openBench();
      putProfile(bench, 'debian-git', BOOT_FILES);
      const store = await bench.open({ catalog: catalogOf([{ type: 'profile', profile: 'debian-git' }]) });
      const { rootfsPath } = await store.pull('debian:12');
      vi.setSystemTime(Date.now() - 86_400_000);
      unlinkSync(rootfsPath);
      await store.pull('debian:12');
      expect(await store.prune()).toMatchObject({ count: 0 });
      expect((await store.verify(['debian:12']))[0]).toMatchObject({ ok: true });
    },
  );

  it('a tag that moves while the clock jumps back still leads to the newer image', async () => {
    const bench = openBench();
    const { store, reference, environment } = await pulled(bench);
    await pushImages(registry, 'image', 'one', [MOVED]);
    vi.useFakeTimers({ now: new Date('1999-01-01'), toFake: ['Date'] });
    const moved = await store.pull(reference);
    expect(moved.directory).not.toBe(environment.directory);
    expect((await store.ensureInstalled(reference)).directory).toBe(moved.directory);
  });
});

describe('14: collection while something is pulled', () => {
  it('removes nothing that the pull needs', async () => {
    const bench = openBench();
    const store = await bench.open({ catalog: catalogOf(NO_SOURCES) });
    let collecting: Promise<unknown> | undefined;
    const environment = await store.pull(`${registry.host}/image:one`, {
      onProgress: ({ phase }) => {
        if (phase === 'convert') collecting ??= store.pruneCache().catch((error: unknown) => error);
      },
    });
    expect(environment.installed).toBe(true);
    // It waits for the pull, or gives up; either way the result is whole.
    expect(await collecting).toSatisfy((result: object) => 'freedBytes' in result || 'code' in result);
    expect((await store.verify([environment.name]))[0]).toMatchObject({ ok: true });
    await store.pruneCache();
    expect(await store.ensureInstalled(environment.name)).toMatchObject({ installed: true });
  });
});

describe('15: removing what is used', () => {
  it('is refused without --force, and so is replacing it', async () => {
    const bench = openBench();
    await pulled(bench);
    const store = await bench.open({ catalog: catalogOf(NO_SOURCES), isInUse: async () => ['my-box'] });
    await expect(store.remove('image-one')).rejects.toMatchObject({
      code: 'ENVIRONMENT_IN_USE',
      details: { users: ['my-box'] },
    });
    await expect(store.pull(`${registry.host}/image:one`, { force: true })).rejects.toMatchObject({
      code: 'ENVIRONMENT_IN_USE',
    });
    expect(await store.remove('image-one', { force: true })).toMatchObject({ name: 'image-one' });
    expect(bench.entries()).toEqual([]);
  });
});

describe('16: a tag that moves', () => {
  it('leaves the old install valid until the new one is complete, and prune takes it later', async () => {
    const bench = openBench();
    const { store, environment, reference } = await pulled(bench);
    await pushImages(registry, 'image', 'one', [MOVED]);
    expect((await store.ensureInstalled(reference)).directory).toBe(environment.directory);
    const stop = new AbortController();
    await expect(
      store.pull(reference, {
        signal: stop.signal,
        onProgress: ({ phase }) => {
          if (phase === 'install') stop.abort(new Error('stopped'));
        },
      }),
    ).rejects.toThrow('stopped');
    expect((await store.ensureInstalled(reference)).directory).toBe(environment.directory);

    const moved = await store.pull(reference);
    expect(moved).toMatchObject({ name: environment.name });
    expect(moved.version).not.toBe(environment.version);
    expect((await store.verify([], { all: true })).map(({ ok }) => ok)).toEqual([true, true]);
    expect((await store.ensureInstalled('image-one')).directory).toBe(moved.directory);

    await pushImages(registry, 'image', 'one', [IMAGE]);
    expect((await store.pull(reference)).directory).toBe(environment.directory);
    expect((await store.ensureInstalled(reference)).directory).toBe(environment.directory);
    expect(await store.prune()).toMatchObject({
      count: 1,
      removed: [{ path: moved.directory, reason: 'superseded' }],
    });
  });
});

describe('17: without a network', () => {
  it('--offline asks nothing, uses what is cached, and names what is missing', async () => {
    const bench = openBench();
    const { store, environment, reference } = await pulled(bench);
    await store.remove(environment.name);
    registry.forget();
    expect(await store.ensureInstalled(reference, { offline: true })).toMatchObject({
      rootfsDigest: environment.rootfsDigest,
    });
    await store.remove(environment.name);
    const { digest } = SHARED;
    unlinkSync(join(bench.paths.cache, 'blobs', 'blobs', 'sha256', digest.slice('sha256:'.length)));
    await expect(store.pull(reference, { offline: true })).rejects.toMatchObject({
      code: 'OFFLINE',
      message: expect.stringContaining(digest),
    });
    expect(registry.requests()).toEqual([]);
    expect(bench.entries()).toEqual([]);
  });

  it('--offline refuses archives and Debian packages without trying', async () => {
    const catalog = catalogOf([
      { type: 'archive', url: 'https://environments.example/a.tgz' },
      { type: 'debian-packages', suite: 'bookworm', packages: [] },
    ]);
    const bench = openBench();
    const fetch = async (): Promise<never> => {
      throw new Error('asked');
    };
    const store = await bench.open({ catalog, offline: true, parts: { fetch } });
    await expect(store.pull('debian:12')).rejects.toMatchObject({ code: 'OFFLINE' });
  });
});

describe('18: cancelling', () => {
  it.each(['resolve', 'download', 'convert', 'install'])(
    'in %s ends within 2 s and leaves nothing',
    async (phase) => {
      const cancelled = async (): Promise<number> => {
        const bench = openBench();
        const store = await bench.open({ catalog: catalogOf(NO_SOURCES) });
        const stop = new AbortController();
        const reason = new Error('interrupted');
        let abortedAt = 0;
        const pulling = store.pull(`${registry.host}/image:one`, {
          signal: stop.signal,
          onProgress: (progress) => {
            if (progress.phase !== phase || stop.signal.aborted) return;
            abortedAt = performance.now();
            stop.abort(reason);
          },
        });
        await expect(pulling).rejects.toBe(reason);
        const tookMs = performance.now() - abortedAt;
        expect(bench.entries()).toEqual([]);
        expect(await store.pull(`${registry.host}/image:one`)).toMatchObject({ installed: true });
        return tookMs;
      };
      expect(await quickest(2000, cancelled)).toBeLessThan(2000);
    },
  );
});

describe('20: cycles', () => {
  it('of installing and removing leave descriptors and directories as they were', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([{ type: 'profile', profile: 'debian-git' }]) });
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    await store.pull('debian:12');
    await store.remove('debian:12');
    const before = descriptors();
    for (let cycle = 0; cycle < 40; cycle += 1) {
      await store.pull('debian:12');
      await store.remove('debian:12');
    }
    await expect.poll(descriptors).toBeLessThanOrEqual(before + 1);
    expect(bench.entries()).toEqual([]);
    expect(listOf(join(bench.paths.data, 'environments', '.locks'))).toEqual(['debian_12.lock']);
  });
});
