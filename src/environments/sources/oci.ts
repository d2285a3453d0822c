/**
 * An environment from a registry: a container image, which is converted, or an artifact whose layers hold
 * finished `rootfs.ext4` and `vmlinux`.
 */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import {
  type Digest,
  formatReference,
  type Image,
  isDigest,
  type Platform,
  type Reference,
} from '../../oci/index.js';
import { TarReader } from '../../tar/index.js';
import {
  EMPTY_IMAGE_CONFIG,
  type EnvironmentImageConfig,
  INITRD_FILE,
  KERNEL_FILE,
  type Provenance,
  ROOTFS_FILE,
} from '../install-manifest.js';
import type {
  ArtifactLayer,
  BootArtifactContent,
  ConvertOptions,
  EnvironmentParts,
  PulledContent,
  PullOptions,
} from '../parts.js';
import type { ObtainedArtifacts, SourceRequest } from '../source.js';
import { BootArchiveExtractor, isBootArchiveMember } from './boot-archive.js';
import { decompressSniffed } from './decompress.js';
import { withDeadlineForFirstAnswer } from './first-answer.js';

export interface OciSourceOptions {
  readonly reference: Reference;
  /** The manifest or index that the reference has to name; null when any will do. */
  readonly digest: string | null;
  readonly platform: Platform;
}

/** An artifact has few layers; more than this is an image without a look inside. */
const MAX_ARTIFACT_LAYERS = 8;
const READ_CHUNK_BYTES = 256 * 1024;

/**
 * Pulls and converts.
 *
 * @throws {HearthError} what the registry and the converter throw; `REGISTRY_TIMEOUT` within seconds when the
 *   registry does not answer and another source follows; `DIGEST_MISMATCH`, `ARCHIVE_INVALID`.
 */
export async function obtainOci(
  options: OciSourceOptions,
  request: SourceRequest,
  parts: EnvironmentParts,
): Promise<ObtainedArtifacts> {
  const pinned = pinReference(options.reference, options.digest);
  const name = formatReference(pinned);
  request.report('resolve', { message: `looking up ${name}` });
  await using pulled = await withDeadlineForFirstAnswer(name, request, (signal) =>
    parts.pull(pinned, pullOptionsOf(request, options.platform, signal)),
  );
  return await obtainFromPulled(pinned, pulled, request, parts);
}

/** The digest of the manifest that a reference was resolved to. */
export function manifestDigestOf(pulled: PulledContent): Digest {
  return pulled.kind === 'image' ? pulled.image.manifestDigest : pulled.manifestDigest;
}

/**
 * Converts or unpacks what a reference was resolved to. When that fails because blobs of the cache are damaged,
 * they are fetched again, once.
 */
export async function obtainFromPulled(
  reference: Reference,
  pulled: PulledContent,
  request: SourceRequest,
  parts: EnvironmentParts,
): Promise<ObtainedArtifacts> {
  try {
    return await obtainOnce(reference, pulled, request, parts);
  } catch (error) {
    request.signal?.throwIfAborted();
    if (!HearthError.is(error) || error.kind !== 'integrity') throw error;
    // Bytes of a mirror that were wrong have been fetched anew already.
    if (error.details.isReplaced !== true && !(await pulled.discardDamaged())) throw error;
  }
  request.report('download', { message: 'the cache was damaged; fetching what is missing again' });
  for (const file of [ROOTFS_FILE, KERNEL_FILE, INITRD_FILE]) {
    await rm(join(request.staging, file), { force: true });
  }
  const { platform } = pulled;
  const pinned = { ...reference, digest: manifestDigestOf(pulled) };
  await using again = await parts.pull(pinned, pullOptionsOf(request, platform, request.signal));
  return await obtainOnce(reference, again, request, parts);
}

async function obtainOnce(
  reference: Reference,
  pulled: PulledContent,
  request: SourceRequest,
  parts: EnvironmentParts,
): Promise<ObtainedArtifacts> {
  request.report('download', { message: `fetching ${formatReference(reference)}` });
  const sourceDigest = manifestDigestOf(pulled);
  const source = `oci://${reference.registry}/${reference.repository}@${sourceDigest}`;
  const content = pulled.kind === 'image' ? pulled.image : pulled;
  if (pulled.kind === 'artifact' || (await isBootArtifact(pulled.image))) {
    await unpackArtifact(content.layers, sourceDigest, request);
    return {
      source,
      sourceDigest,
      rootfsDigest: undefined,
      provenance: provenanceOf(content),
      imageConfig: pulled.kind === 'image' ? imageConfigOf(pulled.image) : EMPTY_IMAGE_CONFIG,
      hasKernel: true,
    };
  }
  return { ...(await convertImage(pulled.image, request, parts)), source, sourceDigest };
}

function pullOptionsOf(
  request: SourceRequest,
  platform: Platform,
  signal: AbortSignal | undefined,
): PullOptions {
  return {
    platform,
    offline: request.offline,
    onProgress: (doneBytes, totalBytes) => request.report('download', { doneBytes, totalBytes }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Writes `rootfs.ext4` from an image, wherever that came from. */
export async function convertImage(
  image: Image,
  request: SourceRequest,
  parts: EnvironmentParts,
): Promise<ObtainedArtifacts> {
  request.report('convert');
  const options: ConvertOptions = {
    outputPath: join(request.staging, ROOTFS_FILE),
    onProgress: (doneBytes, totalBytes) => request.report('convert', { doneBytes, totalBytes }),
    ...(request.sizeBytes === undefined ? {} : { sizeBytes: request.sizeBytes }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  };
  const { digest } = await parts.buildRootfs(image, options);
  return {
    source: '',
    sourceDigest: image.manifestDigest,
    rootfsDigest: digest,
    provenance: provenanceOf(image),
    imageConfig: imageConfigOf(image),
    hasKernel: false,
  };
}

function pinReference(reference: Reference, digest: string | null): Reference {
  if (digest === null || !isDigest(digest)) return reference;
  if (reference.digest !== undefined && reference.digest !== digest) {
    throw new HearthError(
      'DIGEST_MISMATCH',
      `${formatReference(reference)} is not what the catalog expects: ${digest}`,
      {
        hint: 'Correct the catalog entry: its reference and its digest name two things.',
        details: { reference: formatReference(reference), expected: digest },
      },
    );
  }
  return { ...reference, digest };
}

function provenanceOf(content: Image | BootArtifactContent): Provenance {
  return {
    index_digest: content.indexDigest ?? null,
    manifest_digest: content.manifestDigest,
    config_digest: content.manifest.config.digest,
    layers: content.layers.map((layer) => ({
      digest: layer.descriptor.digest,
      diff_id: 'diffId' in layer ? layer.diffId : null,
      size_bytes: layer.descriptor.sizeBytes,
    })),
  };
}

function imageConfigOf({ config }: Image): EnvironmentImageConfig {
  return {
    Env: [...config.env],
    WorkingDir: config.workingDir,
    User: config.user,
    Entrypoint: [...config.entrypoint],
    Cmd: [...config.cmd],
  };
}

/** True when every layer begins with something that only an environment's archive has. */
async function isBootArtifact(image: Image): Promise<boolean> {
  if (image.layers.length === 0 || image.layers.length > MAX_ARTIFACT_LAYERS) return false;
  let hasArtifact = false;
  // The topmost layer arrives first, and most images are told by it.
  for (const layer of image.layers.toReversed()) {
    const first = await firstFilePath(layer);
    if (first === undefined || !isBootArchiveMember(first)) return false;
    hasArtifact = true;
  }
  return hasArtifact;
}

/** The path of the first entry of a layer that is not its root directory; undefined when there is none. */
async function firstFilePath(layer: ArtifactLayer): Promise<string | undefined> {
  let found: string | undefined;
  const reader = new TarReader({
    onEntry: (entry) => {
      const isRoot = entry.kind === 'directory' && isBootArchiveMember(entry.path);
      if (!isRoot) found ??= entry.kind === 'file' ? entry.path : `${entry.path}/`;
    },
    onData: () => {},
    onFileEnd: () => {},
  });
  for await (const chunk of layerBytes(layer)) {
    // A header is never further away than this: only root entries and their extensions come before it.
    for (let at = 0; at < chunk.byteLength && found === undefined; at += 512) {
      reader.push(chunk.subarray(at, at + 512));
    }
    if (found !== undefined) return found;
  }
  return undefined;
}

async function unpackArtifact(
  layers: readonly ArtifactLayer[],
  manifestDigest: Digest,
  request: SourceRequest,
): Promise<void> {
  const extractor = new BootArchiveExtractor(request.staging);
  try {
    for (const layer of layers) {
      for await (const chunk of layerBytes(layer)) {
        request.signal?.throwIfAborted();
        await extractor.push(chunk);
      }
      await extractor.finishArchive();
      await layer.done;
    }
  } finally {
    await extractor.close();
  }
  for (const required of [ROOTFS_FILE, KERNEL_FILE]) {
    if (extractor.files.has(required)) continue;
    throw new HearthError('ARCHIVE_INVALID', `the artifact ${manifestDigest} has no ${required}`, {
      hint: 'Push an artifact whose layers hold rootfs.ext4 and vmlinux.',
      details: { manifestDigest, missing: required },
    });
  }
}

/** Uncompressed. The first bytes decide, because artifacts have media types of their own. */
async function* layerBytes(layer: ArtifactLayer): AsyncGenerator<Uint8Array> {
  yield* decompressSniffed(storedBytes(layer));
}

/** The bytes of a layer's blob as they arrive. */
async function* storedBytes(layer: ArtifactLayer): AsyncGenerator<Uint8Array> {
  const { digest, sizeBytes } = layer.descriptor;
  const file = await open(await layer.open(), 'r');
  try {
    let offset = 0;
    while (offset < sizeBytes) {
      const until = await layer.available(offset);
      const buffer = Buffer.alloc(Math.min(READ_CHUNK_BYTES, Math.max(0, until - offset)));
      const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, offset);
      if (bytesRead === 0) {
        throw new HearthError('SIZE_MISMATCH', `layer ${digest} ends after ${offset} of ${sizeBytes} bytes`, {
          hint: 'Run the same command again; the blob is fetched anew.',
          details: { digest, expected: sizeBytes, actual: offset },
        });
      }
      yield buffer.subarray(0, bytesRead);
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}
