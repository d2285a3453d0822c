/** An environment store in a temporary directory, with kernels made of a few bytes and every part countable. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach } from 'vitest';
import {
  type Catalog,
  type EnvironmentParts,
  type EnvironmentProgress,
  type EnvironmentStore,
  type EnvironmentStoreOptions,
  openEnvironmentStore,
  parseCatalog,
} from '../../src/environments/index.js';
import { HearthError } from '../../src/errors/index.js';
import { type HearthPaths, hearthPaths } from '../../src/fsx/index.js';
import type { KernelBundle } from '../../src/kernels/index.js';
import { tarOf } from '../support/registry-images.js';

export const KERNEL_NAME = 'debian-12-cloud';
/** The embedded catalog's default kernel is what the tests' environments boot with. */
export const PLATFORM_DIRECTORY = 'linux-x86_64';

export interface Bench {
  readonly root: string;
  readonly paths: HearthPaths;
  readonly agentPath: string;
  /** Names of the kernels that were fetched, in order. */
  readonly kernelFetches: string[];
  readonly kernels: EnvironmentParts['kernels'];
  /** Where `profile` sources lie. */
  readonly profilesDirectory: string;
  open(options?: Partial<EnvironmentStoreOptions>): Promise<EnvironmentStore>;
  /** Everything in the directory of installs, also hidden. */
  entries(): string[];
}

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

export function openBench(parent: string = tmpdir()): Bench {
  const root = mkdtempSync(join(parent, 'hearth-environments-'));
  roots.push(root);
  const paths = hearthPaths({ HEARTH_HOME: root });
  const agentPath = join(root, 'agent');
  writeFileSync(agentPath, 'agent');
  const profilesDirectory = join(root, 'profiles');
  const kernelFetches: string[] = [];
  const kernels = fakeKernels(join(root, 'kernels'), kernelFetches);
  return {
    root,
    paths,
    agentPath,
    kernelFetches,
    kernels,
    profilesDirectory,
    open: (options = {}) =>
      openEnvironmentStore({
        paths,
        agentPath,
        profilesDirectory,
        env: {},
        registry: { env: {}, limits: { retryBaseMs: 1 } },
        ...options,
        parts: { kernels, ...options.parts },
      }),
    entries: () => listOf(join(paths.data, 'environments', PLATFORM_DIRECTORY)),
  };
}

export function listOf(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** Kernels of one file and one module; any of the two names below can be fetched, nothing else. */
export function fakeKernels(directory: string, fetches: string[]): EnvironmentParts['kernels'] {
  const installed = new Map<string, KernelBundle>();
  const get = async (name: string): Promise<KernelBundle> => {
    const bundle = installed.get(name);
    if (bundle === undefined) throw new HearthError('KERNEL_NOT_FOUND', `kernel ${name} not found`);
    return bundle;
  };
  return {
    get,
    ensure: async (name, options = {}) => {
      if (installed.has(name)) return await get(name);
      if (options.source === undefined && name !== 'generic') {
        throw new HearthError('KERNEL_NOT_FOUND', `kernel ${name} not found, and it has no source`);
      }
      fetches.push(name);
      const bundle = writeFakeKernel(directory, name);
      installed.set(name, bundle);
      return bundle;
    },
  };
}

export function writeFakeKernel(directory: string, name: string): KernelBundle {
  const files = { vmlinux: `vmlinux of ${name}`, 'modules/kernel/virtio_blk.ko': 'module' };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, path, '..'), { recursive: true });
    writeFileSync(join(directory, name, path), text);
  }
  return {
    schema: 1,
    name,
    release: '6.1.0-test',
    origin: { kind: 'import', kernel: '/boot/vmlinuz', modules: null },
    files: Object.entries(files).map(([path, text]) => ({
      path,
      sizeBytes: Buffer.byteLength(text),
      digest: sha256(text),
    })),
    modules: [{ name: 'virtio_blk', path: 'kernel/virtio_blk.ko', requires: [] }],
    createdAt: '2026-01-01T00:00:00.000Z',
    directory: join(directory, name),
    vmlinuxPath: join(directory, name, 'vmlinux'),
    digest: sha256(name),
  };
}

export function sha256(data: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/** A profile directory with these files. */
export function putProfile(bench: Bench, name: string, files: Readonly<Record<string, string>>): string {
  const directory = join(bench.profilesDirectory, name);
  mkdirSync(directory, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
  return directory;
}

/** A tar.gz in the bench's directory; returns its `file://` address. */
export function putArchive(
  bench: Bench,
  name: string,
  files: Readonly<Record<string, string>>,
): { readonly url: string; readonly path: string; readonly digest: string } {
  const path = join(bench.root, name);
  const bytes = gzipSync(tarOf(files));
  writeFileSync(path, bytes);
  return { path, url: `file://${path}`, digest: sha256(bytes) };
}

export const BOOT_FILES = { vmlinux: 'archive kernel', 'rootfs.ext4': 'archive rootfs' } as const;

type SourceDocument = Readonly<Record<string, unknown>>;

/** A catalog with one environment, `debian:12` 1.0.0, of these sources. */
export function catalogOf(
  sources: readonly SourceDocument[],
  more: Readonly<Record<string, unknown>> = {},
): Catalog {
  return parseCatalog(catalogDocument(sources, more));
}

/** The same as it would stand in a file. */
export function catalogDocument(
  sources: readonly SourceDocument[],
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    catalogVersion: '9.9.9',
    defaultEnvironment: 'debian:12',
    defaultKernel: KERNEL_NAME,
    environments: [
      {
        name: 'debian:12',
        aliases: ['debian-bookworm'],
        version: '1.0.0',
        description: 'test',
        distribution: 'debian',
        distributionVersion: '12',
        platform: 'linux-x86_64',
        kernel: KERNEL_NAME,
        sources,
      },
    ],
    kernels: [
      {
        name: KERNEL_NAME,
        version: '6.1',
        description: 'test',
        platform: 'linux-x86_64',
        sources: [{ type: 'apt', package: 'linux-image-cloud-amd64' }],
      },
    ],
    ...more,
  };
}

/** Collects progress; `phases` are the distinct phases in order. */
export function recorder(): {
  readonly onProgress: (progress: EnvironmentProgress) => void;
  readonly events: EnvironmentProgress[];
  phases(): string[];
} {
  const events: EnvironmentProgress[] = [];
  return {
    onProgress: (progress) => events.push(progress),
    events,
    phases: () => [...new Set(events.map(({ phase }) => phase))],
  };
}
