/**
 * Which kernel an environment boots with: one policy for pull and register. A kernel is named (a bundle of
 * the kernel store, fetched when the catalog knows it) or given as files.
 */
import { stat } from 'node:fs/promises';
import { fileError, HearthError } from '../errors/index.js';
import type { KernelBundle, KernelSource, PullKernelOptions } from '../kernels/index.js';
import type { Catalog } from './catalog.js';

/** What a user may say about the kernel; a name or files, not both. */
export interface KernelChoice {
  /** Name of a kernel. */
  readonly kernel?: string;
  /** A vmlinux or vmlinuz. */
  readonly kernelPath?: string;
  /** Used as it is; hearth's own agent must be in it. Without it hearth packs one. */
  readonly initrdPath?: string;
  /** `/lib/modules/<release>` of `kernelPath`. */
  readonly modulesDirectory?: string;
}

export type KernelInputs =
  | { readonly kind: 'named'; readonly name: string }
  | {
      readonly kind: 'files';
      readonly kernelPath: string;
      readonly initrdPath: string | undefined;
      readonly modulesDirectory: string | undefined;
    };

/**
 * Decides between the user's choice and the default, and checks that given files are there.
 *
 * @param defaultKernel What to use when nothing is chosen; undefined when there is no default.
 * @throws {HearthError} `USAGE_INVALID` when no kernel is given and there is no default, or a name and files
 *   are given; `FILE_NOT_FOUND`, `FILE_UNREADABLE`.
 */
export async function resolveKernelInputs(
  choice: KernelChoice,
  defaultKernel: string | undefined,
): Promise<KernelInputs> {
  const { kernel, kernelPath, initrdPath, modulesDirectory } = choice;
  if (kernel !== undefined && kernelPath !== undefined) {
    throw usage(
      'a kernel is given by name and as a file',
      'Give either --kernel NAME or the path of a kernel.',
      choice,
    );
  }
  if (kernelPath === undefined) {
    if (initrdPath !== undefined || modulesDirectory !== undefined) {
      throw usage(
        'an initrd or modules are given without their kernel',
        'Give the path of the kernel too.',
        choice,
      );
    }
    const name = kernel ?? defaultKernel;
    if (name === undefined) {
      throw usage('no kernel is given', 'Name one with --kernel; `hearth kernel list` shows them.', choice);
    }
    return { kind: 'named', name };
  }
  await assertKind(kernelPath, 'file');
  if (initrdPath !== undefined) await assertKind(initrdPath, 'file');
  if (modulesDirectory !== undefined) await assertKind(modulesDirectory, 'directory');
  return { kind: 'files', kernelPath, initrdPath, modulesDirectory };
}

function usage(problem: string, hint: string, details: KernelChoice): HearthError {
  return new HearthError('USAGE_INVALID', problem, { hint, details: { ...details } });
}

async function assertKind(path: string, kind: 'file' | 'directory'): Promise<void> {
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(path);
  } catch (error) {
    throw fileError(error, path);
  }
  if (kind === 'file' ? found.isFile() : found.isDirectory()) return;
  throw new HearthError('USAGE_INVALID', `${path} is not a ${kind}`, {
    hint:
      kind === 'file' ? 'Give the path of a kernel or initrd.' : 'Give the directory /lib/modules/<release>.',
    details: { path, expected: kind },
  });
}

/** The part of the kernel store that is needed to find kernels. */
export interface KernelProvider {
  get(name: string): Promise<KernelBundle>;
  ensure(name: string, options?: PullKernelOptions): Promise<KernelBundle>;
}

export interface EnsureKernelOptions {
  readonly offline: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (message: string) => void;
}

/**
 * Finds the kernel `name`: in the kernel store, then by the catalog, then by what the kernel store itself
 * knows how to fetch. At most one fetch. A damaged entry is an error of its own, never fetched over.
 *
 * @throws {HearthError} `KERNEL_NOT_FOUND`, `KERNEL_CORRUPT`, `OFFLINE` when it would have to be fetched.
 */
export async function ensureKernel(
  name: string,
  catalog: Catalog,
  kernels: KernelProvider,
  options: EnsureKernelOptions,
): Promise<KernelBundle> {
  const entry = catalog.findKernel(name);
  let absent: unknown;
  try {
    return await kernels.get(name);
  } catch (error) {
    if (!HearthError.is(error) || error.code !== 'KERNEL_NOT_FOUND') throw error;
    absent = error;
  }
  const source: KernelSource | undefined = entry?.sources.map(toKernelSource)[0];
  if (options.offline) {
    throw new HearthError('OFFLINE', `the kernel ${name} is not installed and has to be fetched`, {
      hint: 'Run the same command once without --offline.',
      details: { kernel: name },
      cause: absent,
    });
  }
  return await kernels.ensure(name, {
    ...(source === undefined ? {} : { source }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
}

function toKernelSource(source: Catalog['kernels'][number]['sources'][number]): KernelSource {
  return { kind: 'apt', package: source.package, digest: source.digest };
}
