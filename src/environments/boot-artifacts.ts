/**
 * Puts kernel, modules and initrd into a directory that is to become an environment. Pull and register
 * share it. What is placed stays when the kernel bundle it came from is removed.
 */
import { createHash } from 'node:crypto';
import { copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded } from '../fsx/index.js';
import type { ImportKernelOptions, Initrd, InitrdOptions, KernelBundle } from '../kernels/index.js';
import { listOf, objectOf, oneOf, text, variantOf, whole } from '../shape/index.js';
import {
  INITRD_FILE,
  type InstallManifest,
  KERNEL_FILE,
  KERNEL_RECORD_FILE,
  MODULES_DIRECTORY,
} from './install-manifest.js';
import type { KernelInputs } from './kernel-inputs.js';
import { placeFile } from './place-file.js';
import { hashFile } from './validity.js';

/** What the kernels folder does for us; tests bring their own. */
export interface BootParts {
  /** Makes a bundle of kernel files in an empty directory. */
  importKernel(directory: string, options: ImportKernelOptions): Promise<KernelBundle>;
  ensureInitrd(bundle: KernelBundle, options: InitrdOptions): Promise<Initrd>;
}

export interface BootArtifactsRequest {
  /** Gets vmlinux, initrd, modules/ and kernel.json. */
  readonly staging: string;
  readonly scratch: string;
  readonly agentPath: string;
  readonly initrdCacheDirectory: string;
  readonly signal?: AbortSignal | undefined;
}

export interface PlacedBoot {
  readonly kernel: InstallManifest['kernel'];
  /** Digest of the agent in the initrd; null when the initrd is the user's or there is none. */
  readonly agentDigest: string | null;
}

/** Places a bundle of the kernel store and an initrd for it. */
export async function placeBundle(
  bundle: KernelBundle,
  parts: BootParts,
  request: BootArtifactsRequest,
  named = true,
): Promise<PlacedBoot> {
  const { staging } = request;
  await placeFile(bundle.vmlinuxPath, join(staging, KERNEL_FILE));
  await assertPlacedKernel(bundle, staging, request.signal);
  for (const module of bundle.modules) {
    request.signal?.throwIfAborted();
    const to = join(staging, MODULES_DIRECTORY, module.path);
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await placeFile(join(bundle.directory, MODULES_DIRECTORY, module.path), to);
  }
  await writeFile(join(staging, KERNEL_RECORD_FILE), encodeKernelRecord(bundle), { mode: 0o600 });
  const initrd = await parts.ensureInitrd(bundle, {
    agentPath: request.agentPath,
    cacheDirectory: request.initrdCacheDirectory,
  });
  await placeFile(initrd.path, join(staging, INITRD_FILE));
  return {
    kernel: { name: named ? bundle.name : null, release: bundle.release, digest: bundle.digest },
    agentDigest: await digestOfAgent(request.agentPath),
  };
}

/** The copy is what the bundle's record says, so that damage of the bundle does not become an install's truth. */
async function assertPlacedKernel(
  bundle: KernelBundle,
  staging: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const expected = bundle.files.find(({ path }) => path === KERNEL_FILE)?.digest;
  const actual = await hashFile(join(staging, KERNEL_FILE), signal);
  if (expected === undefined || actual === expected) return;
  throw new HearthError(
    'KERNEL_CORRUPT',
    `kernel ${bundle.name} is damaged: its vmlinux has digest ${actual}, expected ${expected}`,
    {
      hint: `Fetch it again with \`hearth kernel pull ${bundle.name}\`.`,
      details: { name: bundle.name, expected, actual },
    },
  );
}

/**
 * Places a kernel given as files. With an initrd everything is taken as it is; without one the kernel is
 * made a bundle first, so that an initrd with hearth's agent can be packed for it.
 */
export async function placeKernelFiles(
  inputs: Extract<KernelInputs, { kind: 'files' }>,
  parts: BootParts,
  request: BootArtifactsRequest,
): Promise<PlacedBoot> {
  const { staging } = request;
  if (inputs.initrdPath === undefined) {
    const bundle = await importInto(request, parts, {
      kernelPath: inputs.kernelPath,
      ...(inputs.modulesDirectory === undefined ? {} : { modulesDirectory: inputs.modulesDirectory }),
    });
    return await placeBundle(bundle, parts, request, false);
  }
  try {
    await copyFile(inputs.kernelPath, join(staging, KERNEL_FILE));
    await copyFile(inputs.initrdPath, join(staging, INITRD_FILE));
    if (inputs.modulesDirectory !== undefined) {
      await cp(inputs.modulesDirectory, join(staging, MODULES_DIRECTORY), {
        recursive: true,
        dereference: true,
        // `build` and `source` point at the kernel's sources, which no guest needs.
        filter: (path) => !/\/(?:build|source)$/.test(path),
      });
    }
  } catch (error) {
    throw fileError(error, staging);
  }
  return { kernel: { name: null, release: null, digest: null }, agentDigest: null };
}

/**
 * Packs an initrd for a `vmlinux` that a source has brought without one.
 *
 * @returns undefined when that file is no kernel that hearth knows how to boot: the install is complete
 *   without an initrd, but a VM will want one.
 */
export async function completeBroughtKernel(
  parts: BootParts,
  request: BootArtifactsRequest,
): Promise<PlacedBoot | undefined> {
  try {
    const kernelPath = join(request.staging, KERNEL_FILE);
    const bundle = await importInto(request, parts, { kernelPath });
    const initrd = await parts.ensureInitrd(bundle, {
      agentPath: request.agentPath,
      cacheDirectory: request.initrdCacheDirectory,
    });
    await placeFile(initrd.path, join(request.staging, INITRD_FILE));
    await writeFile(join(request.staging, KERNEL_RECORD_FILE), encodeKernelRecord(bundle), { mode: 0o600 });
    return {
      kernel: { name: null, release: bundle.release, digest: bundle.digest },
      agentDigest: await digestOfAgent(request.agentPath),
    };
  } catch (error) {
    if (HearthError.is(error) && (error.code === 'KERNEL_INVALID' || error.code === 'KERNEL_UNSUPPORTED')) {
      return undefined;
    }
    throw error;
  }
}

async function importInto(
  request: BootArtifactsRequest,
  parts: BootParts,
  options: ImportKernelOptions,
): Promise<KernelBundle> {
  return await parts.importKernel(join(request.scratch, 'kernels'), {
    ...options,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}

export async function digestOfAgent(agentPath: string): Promise<string> {
  try {
    return `sha256:${createHash('sha256')
      .update(await readFile(agentPath))
      .digest('hex')}`;
  } catch (error) {
    throw fileError(error, agentPath);
  }
}

const MAX_RECORD_BYTES = 1024 * 1024;
const recordSchema = objectOf({
  schema: oneOf(1),
  name: text(),
  release: text(),
  digest: text(),
  createdAt: text(),
  origin: variantOf('kind', {
    apt: objectOf({ kind: oneOf('apt'), package: text(), version: text() }),
    import: objectOf({ kind: oneOf('import'), kernel: text(), modules: text().nullable() }),
  }),
  files: listOf(objectOf({ path: text(), sizeBytes: whole(0), digest: text() })),
  modules: listOf(
    objectOf({
      name: text(),
      path: text().refine((path) => !path.split('/').some((part) => ['', '.', '..'].includes(part))),
      requires: listOf(text()),
    }),
  ),
});

function encodeKernelRecord(bundle: KernelBundle): string {
  const { directory: _directory, vmlinuxPath: _vmlinuxPath, ...record } = bundle;
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** The bundle that an environment's own copies of kernel and modules make up; undefined when it has no record. */
export async function readPlacedBundle(directory: string): Promise<KernelBundle | undefined> {
  const path = join(directory, KERNEL_RECORD_FILE);
  try {
    const json = (await readFileBounded(path, MAX_RECORD_BYTES)).toString('utf8');
    const record = recordSchema.read(JSON.parse(json));
    return record.ok ? { ...record.value, directory, vmlinuxPath: join(directory, KERNEL_FILE) } : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw fileError(error, path);
  }
}
