/** Rows PY-01 … PY-29 and PY-42 … PY-45: catalog, installs, validity, repair, prune. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCatalog, openEnvironmentStore } from '../../src/environments/index.js';
import {
  type Bench,
  BOOT_FILES,
  catalogOf,
  listOf,
  openBench,
  PLATFORM_DIRECTORY,
  putArchive,
  putProfile,
  recorder,
} from './support.js';

const PROFILE = { type: 'profile', profile: 'debian-git' };

function installDirectory(bench: Bench): string {
  return join(bench.paths.data, 'environments', PLATFORM_DIRECTORY, 'debian_12-1.0.0');
}

/** A manifest as the first writers wrote it: six fields and nothing more. */
function putOldManifest(directory: string, fields: Readonly<Record<string, unknown>> = {}): void {
  mkdirSync(directory, { recursive: true });
  const manifest = {
    catalog_version: '9.9.9',
    name: 'debian:12',
    version: '1.0.0',
    source: 'bundled-runtime-source',
    source_digest: null,
    installed_at: 0,
    ...fields,
  };
  writeFileSync(join(directory, 'environment.json'), JSON.stringify(manifest));
}

describe('catalog', () => {
  it('PY-01 has debian:12, debian:12-base and debian:12-build, each with its fields', async () => {
    const catalog = await loadCatalog();
    const names = catalog.environments.map((entry) => entry.name);
    expect(names).toEqual(expect.arrayContaining(['debian:12', 'debian:12-base', 'debian:12-build']));
    for (const entry of catalog.environments) {
      expect(entry).toMatchObject({ distribution: 'debian', platform: PLATFORM_DIRECTORY });
      expect(catalog.findKernel(entry.kernel)).toBeDefined();
    }
  });

  it('PY-01 lists every environment, installed or not', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    expect(await store.list()).toMatchObject([
      { name: 'debian:12', installed: false, state: 'available', size: null, isDefault: true },
    ]);
    await store.pull('debian:12');
    expect(await store.list()).toMatchObject([
      { name: 'debian:12', installed: true, source: 'bundled-runtime-source', aliases: ['debian-bookworm'] },
    ]);
  });

  it('PY-02 refuses an unknown environment by that name, with near ones in the hint', async () => {
    const store = await openBench().open();
    await expect(store.inspect('debain:12')).rejects.toMatchObject({
      code: 'ENVIRONMENT_NOT_FOUND',
      message: expect.stringContaining('unknown environment'),
      hint: expect.stringContaining('debian:12'),
      details: { suggestions: expect.arrayContaining(['debian:12']) },
    });
    await expect(store.pull('No Such Thing')).rejects.toMatchObject({ code: 'ENVIRONMENT_NOT_FOUND' });
  });
});

describe('bundled profile', () => {
  it('PY-03 installs from a directory with vmlinux and rootfs.ext4', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', { vmlinux: 'a kernel', 'rootfs.ext4': 'a rootfs' });
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const environment = await store.ensureInstalled('debian:12');
    expect(readFileSync(environment.kernelPath, 'utf8')).toBe('a kernel');
    expect(readFileSync(environment.rootfsPath, 'utf8')).toBe('a rootfs');
    expect(bench.entries()).toEqual(['debian_12-1.0.0']);
  });

  it('PY-04 PY-20 PY-21 writes environment.json with its fields into <platform>/<name>-<version>', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const environment = await store.ensureInstalled('debian:12');
    expect(environment.directory).toBe(installDirectory(bench));
    const manifest = JSON.parse(readFileSync(join(environment.directory, 'environment.json'), 'utf8'));
    expect(manifest).toMatchObject({
      catalog_version: '9.9.9',
      name: 'debian:12',
      version: '1.0.0',
      source: 'bundled-runtime-source',
      source_digest: null,
      installed_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });

  it('PY-05 names the profile apart from the environment', async () => {
    const entry = (await loadCatalog()).find('debian:12');
    expect(entry?.sources[0]).toMatchObject({ type: 'profile', profile: 'debian-git' });
  });

  it('PY-14 PY-15 an empty or incomplete profile does not win', async () => {
    for (const files of [{}, { vmlinux: 'k' }, { 'rootfs.ext4': 'r' }, { vmlinux: 'k', 'rootfs.ext4': '' }]) {
      const bench = openBench();
      putProfile(bench, 'debian-git', files);
      const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
      const store = await bench.open({ catalog: catalogOf([PROFILE, { type: 'archive', url }]) });
      const environment = await store.ensureInstalled('debian:12');
      expect(environment.source).toBe(url);
      expect(environment.installManifest.skipped_sources).toMatchObject([
        { source: 'bundled-runtime-source', code: 'ENVIRONMENT_SOURCE_UNAVAILABLE' },
      ]);
    }
  });

  it('PY-42 a missing profile is no error when another source follows, and one when none does', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const missing = { type: 'profile', profile: 'missing-profile' };
    const store = await bench.open({ catalog: catalogOf([missing, { type: 'archive', url }]) });
    const progress = recorder();
    expect(await store.ensureInstalled('debian:12', progress)).toMatchObject({
      installed: true,
      source: url,
    });
    expect(progress.events.filter(({ message }) => message?.startsWith('passed over'))).toEqual([]);
    const only = await openBench().open({ catalog: catalogOf([missing]) });
    await expect(only.pull('debian:12')).rejects.toMatchObject({ code: 'ENVIRONMENT_SOURCE_UNAVAILABLE' });
  });
});

describe('pull and inspect', () => {
  it('PY-06 PY-07 PY-08 PY-09 PY-22 says whether it is installed, before and after', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const before = await store.inspect('debian:12');
    expect(before.installed).toBe(false);
    expect(before).not.toHaveProperty('installManifest');
    expect(before.problems).toEqual([]);

    const pulled = await store.pull('debian:12');
    expect(pulled.installed).toBe(true);
    expect(pulled.installManifest.name).toBe('debian:12');
    expect(existsSync(pulled.kernelPath) && existsSync(pulled.rootfsPath)).toBe(true);

    rmSync(bench.profilesDirectory, { recursive: true });
    const again = await store.ensureInstalled('debian:12');
    expect(again).toMatchObject({ installed: true, installedAt: pulled.installedAt });
    expect(await store.inspect('debian:12')).toMatchObject({
      installed: true,
      installManifest: { source: 'bundled-runtime-source' },
      problems: [],
    });
  });

  it('PY-10 HEARTH_ENVIRONMENT_CACHE_DIR sets the directory, an explicit one wins', async () => {
    const bench = openBench();
    const options = { paths: bench.paths, agentPath: bench.agentPath };
    const byVariable = await openEnvironmentStore({
      ...options,
      env: { HEARTH_ENVIRONMENT_CACHE_DIR: '/variable' },
    });
    expect(byVariable.directory).toBe('/variable');
    const explicit = await openEnvironmentStore({
      ...options,
      directory: '/explicit',
      env: { HEARTH_ENVIRONMENT_CACHE_DIR: '/variable' },
    });
    expect(explicit.directory).toBe('/explicit');
    const neither = await openEnvironmentStore({ ...options, env: {} });
    expect(neither.directory).toBe(join(bench.paths.data, 'environments'));
  });
});

describe('validity and repair', () => {
  it('PY-16 PY-17 a good manifest with dangling links is not installed, and inspect says why', async () => {
    const bench = openBench();
    const directory = installDirectory(bench);
    putOldManifest(directory);
    symlinkSync('/nonexistent/vmlinux', join(directory, 'vmlinux'));
    symlinkSync('/nonexistent/rootfs.ext4', join(directory, 'rootfs.ext4'));
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const inspection = await store.inspect('debian:12');
    expect(inspection.installed).toBe(false);
    expect(inspection.problems).toEqual(['rootfs.ext4 is missing', 'vmlinux is missing']);
  });

  it('PY-16 links that resolve are as good as files, and a manifest of six fields is enough', async () => {
    const bench = openBench();
    const profile = putProfile(bench, 'elsewhere', BOOT_FILES);
    const directory = installDirectory(bench);
    putOldManifest(directory);
    for (const file of ['vmlinux', 'rootfs.ext4']) symlinkSync(join(profile, file), join(directory, file));
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    expect((await store.inspect('debian:12')).installed).toBe(true);
    rmSync(join(directory, 'environment.json'));
    expect((await store.inspect('debian:12')).installed).toBe(false);
  });

  it('PY-18 the next pull repairs it, with the right bytes', async () => {
    for (const method of ['pull', 'ensureInstalled'] as const) {
      const bench = openBench();
      const directory = installDirectory(bench);
      putOldManifest(directory);
      symlinkSync('/nonexistent/vmlinux', join(directory, 'vmlinux'));
      symlinkSync('/nonexistent/rootfs.ext4', join(directory, 'rootfs.ext4'));
      putProfile(bench, 'debian-git', BOOT_FILES);
      const store = await bench.open({ catalog: catalogOf([PROFILE]) });
      const progress = recorder();
      const environment = await store[method]('debian:12', progress);
      expect(environment.installed).toBe(true);
      expect(readFileSync(environment.kernelPath, 'utf8')).toBe(BOOT_FILES.vmlinux);
      expect(readFileSync(environment.rootfsPath, 'utf8')).toBe(BOOT_FILES['rootfs.ext4']);
      expect(progress.events[0]?.message).toContain('vmlinux is missing');
      expect(bench.entries()).toEqual(['debian_12-1.0.0']);
    }
  });

  it('PY-19 a failed pull leaves nothing behind, neither links nor staging', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', { vmlinux: 'only a kernel' });
    const store = await bench.open({ catalog: catalogOf([{ type: 'archive', url }]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({ code: 'ARCHIVE_INVALID' });
    expect(bench.entries()).toEqual([]);
  });
});

describe('archive', () => {
  it('PY-11 PY-12 PY-13 installs vmlinux and rootfs.ext4 from a file:// tgz without a digest', async () => {
    const bench = openBench();
    const { url, digest } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([{ type: 'archive', url, digest: null }]) });
    const environment = await store.ensureInstalled('debian:12');
    expect(readFileSync(environment.kernelPath, 'utf8')).toBe(BOOT_FILES.vmlinux);
    expect(readFileSync(environment.rootfsPath, 'utf8')).toBe(BOOT_FILES['rootfs.ext4']);
    expect(environment).toMatchObject({ source: url, sourceDigest: digest });
  });

  it('PY-13 a digest that is given must match', async () => {
    const bench = openBench();
    const { url, digest } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const right = await bench.open({ catalog: catalogOf([{ type: 'archive', url, digest }]) });
    expect(await right.pull('debian:12')).toMatchObject({ installed: true });
    const other = openBench();
    const wrong = `sha256:${'0'.repeat(64)}`;
    const store = await other.open({ catalog: catalogOf([{ type: 'archive', url, digest: wrong }]) });
    await expect(store.pull('debian:12')).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      details: { expected: wrong, actual: digest },
    });
    expect(other.entries()).toEqual([]);
  });
});

describe('prune', () => {
  async function benchWithFiveStale(): Promise<{ bench: Bench; platform: string }> {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    await store.pull('debian:12');
    const platform = join(bench.paths.data, 'environments', PLATFORM_DIRECTORY);
    mkdirSync(join(platform, '.partial-abc'));
    mkdirSync(join(platform, 'missing-1.0.0'));
    putOldManifest(join(platform, 'invalid-1.0.0'), { name: 1, version: 2 });
    putOldManifest(join(platform, 'unknown_1-1.0.0'), { name: 'unknown:1' });
    putOldManifest(join(platform, 'debian_12-0.9.0'), { version: '0.9.0' });
    return { bench, platform };
  }

  it('PY-23 PY-24 PY-25 PY-26 PY-27 PY-28 PY-29 removes the five stale kinds and nothing valid', async () => {
    const { bench } = await benchWithFiveStale();
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const result = await store.prune();
    expect(result.count).toBe(5);
    expect(
      Object.fromEntries(result.removed.map(({ path, reason }) => [path.split('/').pop(), reason])),
    ).toEqual({
      '.partial-abc': 'partial',
      'missing-1.0.0': 'no-manifest',
      'invalid-1.0.0': 'invalid-manifest',
      'unknown_1-1.0.0': 'not-in-catalog',
      'debian_12-0.9.0': 'other-version',
    });
    expect(result.freedBytes).toBeGreaterThan(0);
    expect(bench.entries()).toEqual(['debian_12-1.0.0']);
    expect((await store.inspect('debian:12')).installed).toBe(true);
    expect(await store.prune()).toMatchObject({ count: 0, freedBytes: 0 });
  });

  it('PY-28 --dry-run says the same and removes nothing', async () => {
    const { bench } = await benchWithFiveStale();
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const before = bench.entries();
    const dry = await store.prune({ dryRun: true });
    expect(dry).toMatchObject({ count: 5, dryRun: true });
    expect(bench.entries()).toEqual(before);
    const real = await store.prune();
    expect({ ...real, dryRun: true }).toEqual(dry);
  });

  it('PY-29 keeps what a sandbox uses, stale or not, and says so', async () => {
    const { bench, platform } = await benchWithFiveStale();
    const used = join(platform, 'debian_12-0.9.0');
    const store = await bench.open({
      catalog: catalogOf([PROFILE]),
      isInUse: async (directory) => (directory === used ? ['box'] : []),
    });
    const result = await store.prune();
    expect(result.count).toBe(4);
    expect(result.kept).toEqual([{ path: used, reason: 'other-version', users: ['box'] }]);
    expect(existsSync(used)).toBe(true);
  });
});

describe('seams and phases', () => {
  it('PY-43 catalog and HTTP are replaceable', async () => {
    const bench = openBench();
    const { path } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const url = 'https://environments.example/debian.tgz';
    const asked: string[] = [];
    const fetch = async (input: unknown): Promise<Response> => {
      asked.push(String(input));
      return new Response(readFileSync(path));
    };
    const store = await bench.open({ catalog: catalogOf([{ type: 'archive', url }]), parts: { fetch } });
    expect(await store.pull('debian:12')).toMatchObject({ source: url });
    expect(asked).toEqual([url]);
  });

  it('PY-44 BA-12 tells its phases, from the catalog to ready', async () => {
    const bench = openBench();
    const { url } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([{ type: 'archive', url }]) });
    const first = recorder();
    await store.pull('debian:12', first);
    expect(first.phases()).toEqual(['resolve', 'install', 'ready']);
    expect(first.events[0]).toMatchObject({
      environment: 'debian:12',
      message: expect.stringContaining('catalog'),
    });
    expect(first.events.every(({ environment }) => environment === 'debian:12')).toBe(true);
    const second = recorder();
    await store.pull('debian:12', second);
    expect(second.phases()).toEqual(['ready']);
  });

  it('PY-45 the result is the same with and without progress', async () => {
    const run = async (withProgress: boolean): Promise<string> => {
      const bench = openBench();
      putProfile(bench, 'debian-git', BOOT_FILES);
      const store = await bench.open({ catalog: catalogOf([PROFILE]) });
      const environment = await store.pull('debian:12', withProgress ? recorder() : {});
      const text = JSON.stringify(environment).replaceAll(bench.root, '');
      return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME').replace(/"mtime_ns":"\d+"/g, '');
    };
    expect(await run(true)).toBe(await run(false));
  });

  it('an install has the modes of a private directory and no leftovers', async () => {
    const bench = openBench();
    putProfile(bench, 'debian-git', BOOT_FILES);
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    const { directory } = await store.pull('debian:12');
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(listOf(directory)).toEqual(['environment.json', 'rootfs.ext4', 'vmlinux']);
  });
});
