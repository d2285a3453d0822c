/** An image becomes a bootable ext4 file that appears under its name only when it is complete and synced. */
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatSize } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import { syncDirectory } from '../fsx/index.js';
import { digestAlgorithm, type Image, type ImageLayer, layerCompression } from '../oci/index.js';
import { hashRange } from './hash-range.js';
import { rootfsIdentity } from './identity.js';
import type { ConvertDurations, ConvertProgress } from './messages.js';
import { LayerFailure, runPipeline } from './pipeline.js';
import { digestRootfs, type RootfsDigest } from './rootfs-digest.js';
import { createStaging } from './staging.js';

export interface BuildRootfsOptions {
  /** Where the finished image goes; a file there is replaced. Its directory must exist. */
  readonly outputPath: string;
  /** Size of the image file. Default: a quarter more than the content, at least 1 GiB. */
  readonly sizeBytes?: number;
  /** Limit of the merged files' bytes. Default 32 GiB. */
  readonly maxContentBytes?: number;
  /** Limit of entries of all layers. Default 1,000,000. */
  readonly maxEntries?: number;
  /** Compute the digest of the result. Default false. */
  readonly digest?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RootfsProgress) => void;
}

export interface RootfsProgress {
  readonly stage: 'layers' | 'finish' | 'sync' | 'digest';
  readonly layerCount: number;
  /** Layers read completely; the top layer is read first. */
  readonly layersDone: number;
  /** Compressed bytes read, of `compressedTotalBytes`. */
  readonly compressedBytes: number;
  readonly compressedTotalBytes: number;
  /** Decompressed bytes of all layers so far. */
  readonly uncompressedBytes: number;
  readonly entryCount: number;
}

export interface RootfsResult {
  readonly outputPath: string;
  /** Size of the image file, holes included. */
  readonly sizeBytes: number;
  /** Bytes of blocks that hold file bodies. */
  readonly contentBytes: number;
  /** Bytes written to the file. */
  readonly writtenBytes: number;
  /** Entries of all layers, with the directories they imply. */
  readonly entryCount: number;
  readonly layerCount: number;
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
  /** Present when it was asked for. */
  readonly digest?: RootfsDigest;
  readonly durationsMs: ConvertDurations & {
    /** Until every blob's size and digest were known to be right, after the conversion. */
    readonly verify: number;
    readonly digest: number;
    readonly total: number;
  };
}

const DEFAULT_MAX_CONTENT_BYTES = 32 * 1024 ** 3;
const DEFAULT_MAX_ENTRIES = 1_000_000;
/** How long a failed conversion waits to learn whether the blob itself was wrong. */
const BLAME_TIMEOUT_MS = 30_000;
/** Errors that a damaged blob can cause. */
const CONTENT_CODES: ReadonlySet<string> = new Set([
  'COMPRESSION_INVALID',
  'DIFF_ID_MISMATCH',
  'TAR_INVALID',
  'TAR_TRUNCATED',
  'SIZE_MISMATCH',
]);

/**
 * Builds the root file system of an image: no root, no loop device, no program of the host. The same manifest
 * and options give the same bytes. When it fails or is aborted nothing is left behind.
 *
 * @throws {HearthError} `MANIFEST_INVALID` (no layers), `IMAGE_CONFIG_INVALID` (other diffIDs than layers),
 *   `MEDIA_TYPE_UNSUPPORTED`, `LAYER_FOREIGN`, `DIGEST_MISMATCH`, `DIFF_ID_MISMATCH`, `COMPRESSION_INVALID`,
 *   `TAR_INVALID`, `TAR_TRUNCATED`, what merging refuses (docs/layers.md), `CONTENT_TOO_LARGE`,
 *   `ENTRIES_TOO_MANY`, `ROOTFS_TOO_SMALL` with `details.minimumBytes`, `DISK_FULL`, and what the layers'
 *   transfer rejects with.
 */
export async function buildRootfs(image: Image, options: BuildRootfsOptions): Promise<RootfsResult> {
  const { signal } = options;
  const startedAt = performance.now();
  signal?.throwIfAborted();
  assertConvertible(image);
  for (;;) {
    const before = replacementsOf(image);
    try {
      const result = await attempt(image, options, startedAt);
      if (result !== undefined) return result;
    } catch (error) {
      // A mirror had sent other bytes; each layer is replaced once at most.
      if (signal?.aborted === true || replacementsOf(image) === before) throw error;
    }
  }
}

function replacementsOf({ layers }: Image): number {
  return layers.reduce((sum, { replacements = 0 }) => sum + replacements, 0);
}

/** Undefined when bytes that were read have been replaced meanwhile. */
async function attempt(
  image: Image,
  options: BuildRootfsOptions,
  startedAt: number,
): Promise<RootfsResult | undefined> {
  const { outputPath, signal } = options;
  const before = replacementsOf(image);
  let latest: RootfsProgress | undefined;
  const staging = await createStaging(outputPath);
  for (const { done } of image.layers) {
    done.catch(() => {
      // Awaited below, when the layers have been converted.
    });
  }
  try {
    const converted = await runPipeline(
      image,
      {
        outputPath: staging,
        diffIds: image.layers.map((layer) => layer.diffId),
        maxContentBytes: options.maxContentBytes ?? DEFAULT_MAX_CONTENT_BYTES,
        maxEntries: options.maxEntries ?? DEFAULT_MAX_ENTRIES,
        sizeBytes: options.sizeBytes,
        ...rootfsIdentity(image, options.sizeBytes),
      },
      {
        signal,
        onProgress: (progress) => {
          latest = progressOf(image, progress);
          options.onProgress?.(latest);
        },
      },
    );
    const convertedAt = performance.now();
    await allVerified(image, signal);
    if (replacementsOf(image) !== before) {
      await rm(staging, { force: true });
      return undefined;
    }
    const verifiedAt = performance.now();
    const digest =
      options.digest === true
        ? await digestRootfs(staging, signal === undefined ? {} : { signal })
        : undefined;
    const digestedAt = performance.now();
    await rename(staging, outputPath);
    await syncDirectory(dirname(outputPath));
    return {
      ...converted,
      outputPath,
      layerCount: image.layers.length,
      compressedBytes: compressedTotal(image.layers),
      ...(digest === undefined ? {} : { digest }),
      durationsMs: {
        ...converted.durationsMs,
        verify: verifiedAt - convertedAt,
        digest: digestedAt - verifiedAt,
        total: performance.now() - startedAt,
      },
    };
  } catch (error) {
    await rm(staging, { force: true });
    const failure = error instanceof LayerFailure ? error.failure : error;
    if (HearthError.is(failure) && failure.code === 'DISK_FULL') throw diskFull(outputPath, latest, failure);
    throw await explain(error, image, signal);
  }
}

/** Everything that can be refused before the first byte of a layer. */
function assertConvertible(image: Image): void {
  const layerCount = image.layers.length;
  const diffIdCount = image.config.rootfs.diffIds.length;
  const details = { manifestDigest: image.manifestDigest, layerCount, diffIdCount };
  if (layerCount === 0) {
    throw new HearthError('MANIFEST_INVALID', `the image ${image.manifestDigest} has no layers`, {
      hint: 'Use an image with a root file system; one FROM scratch without files cannot be booted.',
      details,
    });
  }
  if (layerCount !== diffIdCount || image.manifest.layers.length !== layerCount) {
    const counts = `${layerCount} layers, but its config names ${diffIdCount}`;
    throw new HearthError('IMAGE_CONFIG_INVALID', `the image ${image.manifestDigest} has ${counts}`, {
      hint: 'The image is malformed; rebuild it with a current builder.',
      details,
    });
  }
  for (const layer of image.layers) layerCompression(layer.descriptor.mediaType);
}

/** Says what is needed, as far as what has been read so far lets one guess. */
function diskFull(outputPath: string, latest: RootfsProgress | undefined, cause: HearthError): HearthError {
  const { compressedBytes = 0, compressedTotalBytes = 0, uncompressedBytes = 0 } = latest ?? {};
  const directory = dirname(outputPath);
  // Before the first report there is nothing to go by but the layers as they are stored.
  const ratio = compressedBytes > 0 ? Math.max(1, uncompressedBytes / compressedBytes) : 1;
  const neededBytes = Math.ceil(compressedTotalBytes * ratio);
  const needs = neededBytes > 0 ? `: the image needs about ${formatSize(neededBytes)}` : '';
  return new HearthError('DISK_FULL', `no space left on the file system of ${directory}${needs}`, {
    hint: 'Free some space (`hearth cache prune` removes what can be fetched again) and run the same command again.',
    details: { path: directory, ...(neededBytes > 0 ? { neededBytes } : {}) },
    cause,
  });
}

async function allVerified(image: Image, signal: AbortSignal | undefined): Promise<void> {
  const done = Promise.all(image.layers.map((layer) => layer.done));
  await (signal === undefined ? done : Promise.race([done, rejectedWhenAborted(signal)]));
}

function rejectedWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** A layer that could not be converted because its blob is not what its digest says is reported as that. */
async function explain(error: unknown, image: Image, signal: AbortSignal | undefined): Promise<unknown> {
  if (!(error instanceof LayerFailure)) return error;
  const { failure, layerIndex } = error;
  const layer = image.layers[layerIndex];
  if (!HearthError.is(failure) || layer === undefined) return failure;
  const { digest, sizeBytes } = layer.descriptor;
  const located = new HearthError(failure.code, failure.message, {
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    details: { ...failure.details, layerIndex, layerDigest: digest },
  });
  if (!CONTENT_CODES.has(failure.code) || signal?.aborted) return located;
  // Bytes of a mirror may yet be replaced: whether they are is known when the last one has arrived.
  const timeout =
    layer.replacements === undefined ? AbortSignal.timeout(BLAME_TIMEOUT_MS) : new AbortController().signal;
  try {
    await Promise.race([
      layer.done,
      rejectedWhenAborted(signal === undefined ? timeout : AbortSignal.any([signal, timeout])),
    ]);
    const actual = await hashLayer(layer);
    if (actual === digest) return located;
    return new HearthError(
      'DIGEST_MISMATCH',
      `the blob of layer ${layerIndex} is damaged: ${actual}, expected ${digest}`,
      {
        hint: 'Remove the damaged blob with `hearth cache prune` and pull the image again.',
        details: { layerIndex, expected: digest, actual, sizeBytes },
        cause: failure,
      },
    );
  } catch (reason) {
    return timeout.aborted || signal?.aborted ? located : reason;
  }
}

async function hashLayer(layer: ImageLayer): Promise<string> {
  const { digest, sizeBytes } = layer.descriptor;
  const place = { path: await layer.open(), offsetBytes: layer.offsetBytes ?? 0, sizeBytes };
  return hashRange(place, digestAlgorithm(digest));
}

function compressedTotal(layers: readonly ImageLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.descriptor.sizeBytes, 0);
}

function progressOf(image: Image, progress: ConvertProgress): RootfsProgress {
  const { stage, layerIndex, layerReadBytes, uncompressedBytes, entryCount } = progress;
  const total = compressedTotal(image.layers);
  const above = image.layers.slice(layerIndex + 1);
  return {
    stage,
    layerCount: image.layers.length,
    layersDone: stage === 'layers' ? above.length : image.layers.length,
    compressedBytes: stage === 'layers' ? compressedTotal(above) + layerReadBytes : total,
    compressedTotalBytes: total,
    uncompressedBytes,
    entryCount,
  };
}
