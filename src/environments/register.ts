/** Registering: an environment from the user's own rootfs and kernel. Shares its staging and publication with pull. */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, HearthError } from '../errors/index.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { environmentExists, environmentInUse } from './failures.js';
import { EMPTY_IMAGE_CONFIG, ROOTFS_FILE } from './install-manifest.js';
import { install } from './installer.js';
import { findInstalls, installsNamed, manifestOf } from './installs.js';
import { type KernelChoice, resolveKernelInputs } from './kernel-inputs.js';
import { withNameLock } from './name-lock.js';
import { assertEnvironmentName } from './names.js';
import { placeSparseFile } from './place-file.js';
import type { OperationOptions } from './progress.js';
import { EMPTY_PROVENANCE, type ObtainedArtifacts, type SourceRequest } from './source.js';

export interface RegisterOptions extends OperationOptions, KernelChoice {
  /** An ext4 image; copied. */
  readonly rootfsPath: string;
  /** Replaces an environment of that name that was registered before. */
  readonly force?: boolean;
}

const REGISTERED_LABEL = 'registered';
/** A registered environment has no version of its own; its content's digest is in its manifest. */
const REGISTERED_VERSION = '1';
const EXT4_MAGIC_OFFSET = 0x438;
const EXT4_MAGIC = 0xef53;

/**
 * Copies rootfs and kernel into an environment of that name.
 *
 * @throws {HearthError} `ENVIRONMENT_EXISTS` before anything is copied, `NAME_INVALID`, `USAGE_INVALID` when no
 *   kernel is given or the rootfs is no ext4 image, `FILE_NOT_FOUND`, `ENVIRONMENT_IN_USE`, `DISK_FULL`.
 */
export async function registerEnvironment(
  name: string,
  options: RegisterOptions,
  context: StoreContext,
): Promise<Environment> {
  assertEnvironmentName(name);
  const kernel = await resolveKernelInputs(options, undefined);
  await assertExt4(options.rootfsPath);
  await assertFree(name, options, context);
  return await withNameLock(name, options, context, async () => {
    await assertFree(name, options, context);
    const manifest = await install(
      {
        name,
        version: REGISTERED_VERSION,
        origin: 'registered',
        reference: null,
        generation: 0,
        catalogVersion: context.catalog.version,
        attempts: [
          {
            label: REGISTERED_LABEL,
            kernel: 'needed',
            obtain: (request) => copyRootfs(options.rootfsPath, request),
          },
        ],
        kernel,
        sizeBytes: undefined,
        offline: context.offline,
        signal: options.signal,
        onProgress: options.onProgress,
      },
      context.installer,
    );
    const directory = context.layout.installDirectory(name, REGISTERED_VERSION);
    options.onProgress?.({ phase: 'ready', environment: name, source: REGISTERED_LABEL });
    return toEnvironment(directory, manifest);
  });
}

async function assertFree(name: string, options: RegisterOptions, context: StoreContext): Promise<void> {
  if (context.catalog.find(name)?.name === name) throw environmentExists(name, 'the catalog');
  const taken = installsNamed(await findInstalls(context.layout), name);
  for (const found of taken) {
    const manifest = manifestOf(found);
    if (manifest === undefined) continue;
    if (options.force !== true || manifest.origin !== 'registered') {
      throw environmentExists(name, manifest.reference ?? undefined);
    }
    const users = await context.isInUse(found.directory);
    if (users.length > 0) throw environmentInUse(name, users, 'register it under another name');
  }
}

async function copyRootfs(path: string, request: SourceRequest): Promise<ObtainedArtifacts> {
  request.report('install', { message: `copying ${path}` });
  const target = join(request.staging, ROOTFS_FILE);
  await placeSparseFile(path, target, { signal: request.signal });
  return {
    source: REGISTERED_LABEL,
    sourceDigest: null,
    rootfsDigest: undefined,
    provenance: EMPTY_PROVENANCE,
    imageConfig: EMPTY_IMAGE_CONFIG,
    hasKernel: false,
  };
}

async function assertExt4(path: string): Promise<void> {
  try {
    if ((await stat(path)).isFile()) {
      const file = await open(path, 'r');
      try {
        const magic = Buffer.alloc(2);
        await file.read(magic, 0, magic.byteLength, EXT4_MAGIC_OFFSET);
        if (magic.readUInt16LE(0) === EXT4_MAGIC) return;
      } finally {
        await file.close();
      }
    }
  } catch (error) {
    throw fileError(error, path);
  }
  throw new HearthError('USAGE_INVALID', `${path} is not an ext4 image`, {
    hint: 'Give an ext4 image, for example one made with `hearth rootfs build IMAGE -o rootfs.ext4`.',
    details: { path },
  });
}
