/** Rows BA-01 … BA-15: what is not here is fetched, once, and what is wrong says so itself. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Catalog, type EnvironmentParts, loadCatalog } from '../../src/environments/index.js';
import { HearthError } from '../../src/errors/index.js';
import { openKernelStore } from '../../src/kernels/index.js';
import {
  type Bench,
  BOOT_FILES,
  catalogOf,
  KERNEL_NAME,
  openBench,
  putArchive,
  putProfile,
  recorder,
} from './support.js';

const PROFILE = { type: 'profile', profile: 'debian-git' };

/** A registry in which nothing is; counts what is asked. */
function emptyRegistry(): { parts: Pick<EnvironmentParts, 'pull'>; asked: string[]; error: HearthError } {
  const asked: string[] = [];
  const error = new HearthError('MANIFEST_UNKNOWN', 'docker.io/library/ghost:latest: not found');
  return {
    asked,
    error,
    parts: {
      pull: async ({ registry, repository }) => {
        asked.push(`${registry}/${repository}`);
        throw error;
      },
    },
  };
}

function benchWithProfile(): { bench: Bench; catalog: Catalog } {
  const bench = openBench();
  putProfile(bench, 'debian-git', BOOT_FILES);
  return { bench, catalog: catalogOf([PROFILE]) };
}

describe('environments', () => {
  it('BA-01 one that is here is returned, and nothing is fetched', async () => {
    const { bench, catalog } = benchWithProfile();
    await (await bench.open({ catalog })).pull('debian:12');
    rmSync(bench.profilesDirectory, { recursive: true });
    const { parts, asked } = emptyRegistry();
    const store = await bench.open({ catalog, parts });
    expect(await store.ensureInstalled('debian:12')).toMatchObject({ installed: true, name: 'debian:12' });
    expect(asked).toEqual([]);
  });

  it('BA-02 BA-12 BA-13 one of the catalog is pulled, and has the name of the catalog', async () => {
    const { bench, catalog } = benchWithProfile();
    const store = await bench.open({ catalog });
    const progress = recorder();
    const environment = await store.ensureInstalled('debian-bookworm', progress);
    expect(environment.name).toBe('debian:12');
    expect(progress.events.some(({ message }) => message?.includes('from the catalog'))).toBe(true);
    expect(await store.list()).toMatchObject([{ name: 'debian:12', installed: true }]);
  });

  it('BA-03 exactly one fetch per miss, also when several ask at once', async () => {
    const bench = openBench();
    const { path } = putArchive(bench, 'environment.tgz', BOOT_FILES);
    let fetches = 0;
    const fetch = async (): Promise<Response> => {
      fetches += 1;
      return new Response(readFileSync(path));
    };
    const catalog = catalogOf([{ type: 'archive', url: 'https://environments.example/a.tgz' }]);
    const stores = await Promise.all([1, 2, 3].map(() => bench.open({ catalog, parts: { fetch } })));
    const environments = await Promise.all(stores.map((store) => store.ensureInstalled('debian:12')));
    expect(new Set(environments.map(({ installedAt }) => installedAt)).size).toBe(1);
    expect(fetches).toBe(1);
  });

  it('BA-04 one that is nowhere is reported with the error of the registry', async () => {
    const bench = openBench();
    const { parts, asked, error } = emptyRegistry();
    const store = await bench.open({ catalog: catalogOf([PROFILE]), parts });
    await expect(store.ensureInstalled('ghost')).rejects.toMatchObject({
      code: 'ENVIRONMENT_NOT_FOUND',
      message: expect.stringMatching(
        /unknown environment "ghost": not found .*library\/ghost:latest: not found/,
      ),
      cause: error,
    });
    await expect(store.ensureInstalled('ghcr.io/some/ghost')).rejects.toBe(error);
    expect(asked).toEqual(['docker.io/library/ghost', 'ghcr.io/some/ghost']);
    expect(bench.entries()).toEqual([]);
  });

  it('BA-04 a registry that cannot be reached is not called "not found"', async () => {
    const pull = async (): Promise<never> => {
      throw new HearthError('REGISTRY_UNAVAILABLE', 'the host cannot be found');
    };
    const store = await openBench().open({ catalog: catalogOf([PROFILE]), parts: { pull } });
    await expect(store.ensureInstalled('debain:12')).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      message: expect.stringContaining('unknown environment'),
      hint: expect.stringContaining('debian:12'),
    });
  });

  it('BA-05 BA-11 debian-bookworm is in the catalog, is the default, and names its kernel', async () => {
    const catalog = await loadCatalog();
    const entry = catalog.find('debian-bookworm');
    expect(entry).toMatchObject({ name: 'debian:12', kernel: KERNEL_NAME });
    expect(catalog.find(catalog.defaultEnvironment)).toBe(entry);
    expect(catalog.findKernel(KERNEL_NAME)).toBeDefined();

    const { bench, catalog: small } = benchWithProfile();
    const store = await bench.open({ catalog: small });
    expect((await store.ensureInstalled()).name).toBe('debian:12');
  });

  it('a broken one that cannot be repaired is reported as that, with what was wrong and why', async () => {
    const { bench, catalog } = benchWithProfile();
    const store = await bench.open({ catalog });
    const { rootfsPath } = await store.pull('debian:12');
    rmSync(rootfsPath);
    rmSync(bench.profilesDirectory, { recursive: true });
    await expect(store.ensureInstalled('debian:12')).rejects.toMatchObject({
      code: 'ENVIRONMENT_BROKEN',
      details: { problems: ['rootfs.ext4 is missing'] },
      cause: { code: 'ENVIRONMENT_SOURCE_UNAVAILABLE' },
    });
  });

  it('BA-15 waiting for somebody else to pull it can be cancelled', async () => {
    const bench = openBench();
    const url = 'https://environments.example/a.tgz';
    let entered = (): void => {};
    const hasEntered = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const fetch = (_url: unknown, init?: RequestInit): Promise<Response> =>
      new Promise((_resolve, reject) => {
        entered();
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      });
    const catalog = catalogOf([{ type: 'archive', url }]);
    const options = { catalog, parts: { fetch: fetch as typeof globalThis.fetch } };
    const stop = new AbortController();
    const first = (await bench.open(options)).ensureInstalled('debian:12', { signal: stop.signal });
    await hasEntered;
    const impatient = new AbortController();
    const second = (await bench.open(options)).ensureInstalled('debian:12', { signal: impatient.signal });
    impatient.abort(new Error('no patience'));
    await expect(second).rejects.toThrow('no patience');
    stop.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    expect(bench.entries()).toEqual([]);
  });
});

describe('kernels', () => {
  it('BA-06 one that is here is returned, and nothing is fetched', async () => {
    const bench = openBench();
    const store = await bench.open({ catalog: catalogOf([PROFILE]) });
    await store.ensureKernel(KERNEL_NAME);
    expect(bench.kernelFetches).toEqual([KERNEL_NAME]);
    expect((await store.ensureKernel(KERNEL_NAME)).name).toBe(KERNEL_NAME);
    expect(bench.kernelFetches).toEqual([KERNEL_NAME]);
  });

  it('BA-07 one that is neither here nor in the catalog is not found', async () => {
    const store = await openBench().open({ catalog: catalogOf([PROFILE]) });
    await expect(store.ensureKernel('ghost')).rejects.toMatchObject({
      code: 'KERNEL_NOT_FOUND',
      message: expect.stringContaining('not found'),
    });
  });

  it('BA-08 a damaged entry is reported as that and never fetched over', async () => {
    const bench = openBench();
    const directory = join(bench.paths.data, 'kernels', KERNEL_NAME);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'kernel.json'), JSON.stringify({ schema: 1, name: 'another' }));
    const store = await bench.open({
      catalog: catalogOf([PROFILE]),
      parts: { kernels: openKernelStore(join(bench.paths.data, 'kernels')) },
    });
    const error: unknown = await store.ensureKernel(KERNEL_NAME).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'KERNEL_CORRUPT' });
    expect(String(error)).not.toContain('not found');
  });

  it('BA-09 BA-10 one of the catalog is fetched when an environment that needs it is installed', async () => {
    const bench = openBench();
    const catalog = catalogOf([{ type: 'profile', profile: 'none' }]);
    const buildRootfs: EnvironmentParts['buildRootfs'] = async (_image, { outputPath }) => {
      writeFileSync(outputPath, 'rootfs');
      return { digest: undefined };
    };
    const pull: EnvironmentParts['pull'] = async () => ({
      kind: 'image',
      image: await emptyImage(),
      platform: { os: 'linux', architecture: 'amd64' },
      discardDamaged: async () => false,
      [Symbol.asyncDispose]: async () => {},
    });
    const store = await bench.open({ catalog, parts: { pull, buildRootfs } });
    const environment = await store.ensureInstalled('alpine:3.20');
    expect(environment.kernel?.name).toBe(KERNEL_NAME);
    expect(bench.kernelFetches).toEqual([KERNEL_NAME]);
  });

  it('BA-10 a source that brings its own kernel does not have one fetched', async () => {
    const { bench, catalog } = benchWithProfile();
    await (await bench.open({ catalog })).ensureInstalled('debian:12');
    expect(bench.kernelFetches).toEqual([]);
  });

  it('BA-15 fetching a kernel can be cancelled', async () => {
    const bench = openBench();
    const kernels: EnvironmentParts['kernels'] = {
      get: async (name) => {
        throw new HearthError('KERNEL_NOT_FOUND', `kernel ${name} not found`);
      },
      ensure: (_name, options) =>
        new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => reject(options.signal?.reason));
        }),
    };
    const store = await bench.open({ catalog: catalogOf([PROFILE]), parts: { kernels } });
    const stop = new AbortController();
    const waiting = store.ensureKernel(KERNEL_NAME, { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 10);
    await expect(waiting).rejects.toThrow('enough');
  });
});

async function emptyImage() {
  const { openTarImage } = await import('../../src/environments/tar-image.js');
  const path = join(openBench().root, 'layer.tar');
  writeFileSync(path, Buffer.alloc(1024));
  return await openTarImage(path, { env: [], cmd: [] });
}
