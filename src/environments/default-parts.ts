/** The real parts: registry, blob store, converter, kernel store. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LocalBlobStore } from '../blobs/index.js';
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import type { KernelStore } from '../kernels/index.js';
import type { Manifest, Reference } from '../oci/index.js';
import type { RegistryOptions } from '../registry/index.js';
import type { EnvironmentParts, PulledContent, PullOptions } from './parts.js';

/** What a user may choose about registries; see `registry/`. */
export type RegistryChoices = Omit<RegistryOptions, 'signal'>;

/** Name in the throw-away kernel store that given kernel files are imported into. */
const IMPORTED_KERNEL = 'imported';

/** Where the blob store of these paths lies. */
export function blobsDirectory(paths: HearthPaths): string {
  return join(paths.cache, 'blobs');
}

/** Each part is loaded when it is first used: a start from what is installed needs none of them. */
export function defaultParts(paths: HearthPaths, registry: RegistryChoices = {}): EnvironmentParts {
  let blobs: Promise<LocalBlobStore> | undefined;
  const openBlobs = (): Promise<LocalBlobStore> => {
    blobs ??= import('../blobs/index.js').then(({ openBlobStore }) => openBlobStore(blobsDirectory(paths)));
    return blobs;
  };
  const openKernels = async (directory: string): Promise<KernelStore> =>
    (await import('../kernels/index.js')).openKernelStore(directory);
  const kernels = join(paths.data, 'kernels');
  return {
    pull: async (reference, options) => await pull(reference, options, await openBlobs(), registry),
    buildRootfs: async (image, options) => {
      const { onProgress, ...rest } = options;
      const { buildRootfsOnce, rootfsMemoryDirectory } = await import('../rootfs/index.js');
      // Always converted: a pull is what mends a damaged install. It is remembered for `rootfs build`.
      const result = await buildRootfsOnce(image, {
        ...rest,
        memoryDirectory: rootfsMemoryDirectory(paths),
        rebuild: true,
        onProgress: ({ compressedBytes, compressedTotalBytes }) =>
          onProgress?.(compressedBytes, compressedTotalBytes),
      });
      return { digest: result.digest };
    },
    kernels: {
      get: async (name) => await (await openKernels(kernels)).get(name),
      ensure: async (name, options) => await (await openKernels(kernels)).ensure(name, options),
    },
    importKernel: async (directory, options) => {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      return await (await openKernels(directory)).import(IMPORTED_KERNEL, options);
    },
    ensureInitrd: async (bundle, options) =>
      await (await import('../kernels/index.js')).ensureInitrd(bundle, options),
  };
}

async function pull(
  reference: Reference,
  options: PullOptions,
  blobs: LocalBlobStore,
  registry: RegistryChoices,
): Promise<PulledContent> {
  const { fetchArtifact, pullImage } = await import('../registry/index.js');
  const received = new Map<string, { readonly receivedBytes: number; readonly sizeBytes: number }>();
  const pullOptions = {
    ...registry,
    blobs,
    platform: options.platform,
    offline: options.offline,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onProgress: (blob: { digest: string; receivedBytes: number; sizeBytes: number }) => {
      received.set(blob.digest, blob);
      let doneBytes = 0;
      let totalBytes = 0;
      for (const { receivedBytes, sizeBytes } of received.values()) {
        doneBytes += receivedBytes;
        totalBytes += sizeBytes;
      }
      options.onProgress?.(doneBytes, totalBytes);
    },
  };
  try {
    const image = await pullImage(reference, pullOptions);
    return {
      kind: 'image',
      image,
      platform: options.platform,
      discardDamaged: () => discardDamaged(blobs, image.manifest),
      [Symbol.asyncDispose]: () => image[Symbol.asyncDispose](),
    };
  } catch (error) {
    if (!HearthError.is(error) || !('artifactType' in error.details)) throw error;
    // Not an image: it may be an artifact with finished boot files in its layers.
    const artifact = await fetchArtifact(reference, pullOptions);
    const { manifestDigest, manifest, indexDigest } = artifact;
    return {
      kind: 'artifact',
      manifestDigest,
      manifest,
      ...(indexDigest === undefined ? {} : { indexDigest }),
      layers: artifact.blobs,
      platform: options.platform,
      discardDamaged: () => discardDamaged(blobs, manifest),
      [Symbol.asyncDispose]: () => artifact[Symbol.asyncDispose](),
    };
  }
}

async function discardDamaged(blobs: LocalBlobStore, { config, layers }: Manifest): Promise<boolean> {
  let wasDamaged = false;
  for (const { digest } of [config, ...layers]) wasDamaged = (await blobs.discard(digest)) || wasDamaged;
  return wasDamaged;
}
