/**
 * Images in one file: oci-archive (a tar of an OCI layout) and docker-archive (`docker save`). Layers are read
 * where they lie in the archive.
 *
 * Sources: image-spec v1.1.1, image-layout.md; Docker, image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format".
 */
import { HearthError } from '../errors/index.js';
import {
  assertConfigFits,
  assertImageManifest,
  chooseManifest,
  configSuits,
  DEFAULT_PLATFORM,
  type Descriptor,
  type Digest,
  type DocumentReader,
  digestAlgorithm,
  digestHex,
  digestOf,
  formatPlatform,
  type Image,
  type ImageLayer,
  MAX_MANIFEST_BYTES,
  type Manifest,
  MEDIA_TYPES,
  type Platform,
  parseDocument,
  parseImageConfig,
} from '../oci/index.js';
import { ArchiveFile, type ArchiveMember } from './archive-file.js';
import { readDockerManifest } from './docker-manifest.js';
import type { BlobPlace } from './growing-file.js';
import { hashRange } from './hash-range.js';

export interface ArchiveImageOptions {
  /** Default linux/amd64. */
  readonly platform?: Platform;
  /** Which image of several: the name or tag that the archive gives it, or its digest. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

const REF_NAME = 'org.opencontainers.image.ref.name';
const TAR_LAYER = 'application/vnd.oci.image.layer.v1.tar';

/**
 * Opens an image of an archive. Dispose of it when its layers have been used.
 *
 * @throws {HearthError} `MANIFEST_UNKNOWN` when the file holds no image or not the named one, `BLOB_UNKNOWN`,
 *   `PLATFORM_NOT_FOUND`, `DIGEST_MISMATCH`, and what is thrown for malformed archives and images.
 */
export async function openArchiveImage(
  path: string,
  options: ArchiveImageOptions = {},
): Promise<Image & AsyncDisposable> {
  const archive = await ArchiveFile.open(path, options.signal);
  try {
    const isLayout = archive.find('oci-layout') !== undefined && archive.find('index.json') !== undefined;
    const image = isLayout ? await openOci(archive, path, options) : await openDocker(archive, path, options);
    return { ...image, [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose]() };
  } catch (error) {
    await archive[Symbol.asyncDispose]();
    throw error;
  }
}

async function openOci(archive: ArchiveFile, path: string, options: ArchiveImageOptions): Promise<Image> {
  const index = parseDocument(
    (await archive.read('index.json', MAX_MANIFEST_BYTES)) ?? Buffer.alloc(0),
    MEDIA_TYPES.ociIndex,
  );
  const entries = index.kind === 'index' ? index.index.manifests : [];
  const { name } = options;
  const nameOf = (entry: Descriptor): string => entry.annotations[REF_NAME] ?? entry.digest;
  const named = entries.filter(
    (entry) =>
      name === undefined ||
      nameOf(entry) === name ||
      entry.digest === name ||
      nameOf(entry).endsWith(`:${name}`),
  );
  const entry = named.at(-1);
  if (entry === undefined || new Set(named.map(({ digest }) => digest)).size > 1) {
    throw unknownImage(path, name, entries.map(nameOf));
  }
  const read = (descriptor: Descriptor): Promise<Buffer> => readBlob(archive, path, descriptor);
  const reader: DocumentReader = { readDocument: read, readConfig: read };
  const document = parseDocument(await read(entry), entry.mediaType);
  const platform = options.platform ?? DEFAULT_PLATFORM;
  const chosen = await chooseManifest({ document, digest: entry.digest }, platform, reader);
  assertImageManifest(chosen.manifest);
  const config = parseImageConfig(await read(chosen.manifest.config));
  assertConfigFits(chosen.manifest, config);
  const layers = chosen.manifest.layers.map((descriptor, i) => {
    const diffId = config.rootfs.diffIds[i];
    const member = archive.find(blobName(descriptor.digest));
    if (member === undefined || diffId === undefined) throw missing(path, descriptor.digest);
    const place = { path: archive.path, ...member };
    return layerOf(archive, member, descriptor, diffId, () => verify(place, descriptor, options.signal));
  });
  return { ...chosen, config, layers };
}

async function openDocker(archive: ArchiveFile, path: string, options: ArchiveImageOptions): Promise<Image> {
  const bytes = await archive.read('manifest.json', MAX_MANIFEST_BYTES);
  if (bytes === undefined) throw unknownImage(path, options.name, []);
  const images = readDockerManifest(bytes);
  const { name, platform = DEFAULT_PLATFORM } = options;
  const named = images.filter(
    ({ repoTags }) => name === undefined || repoTags.some((tag) => tag === name || tag.endsWith(`:${name}`)),
  );
  const [chosen, ...others] = named;
  if (chosen === undefined || others.length > 0) {
    throw unknownImage(
      path,
      name,
      images.flatMap(({ repoTags }) => repoTags),
    );
  }
  const configBytes = await archive.read(chosen.config, MAX_MANIFEST_BYTES);
  if (configBytes === undefined) throw missing(path, chosen.config);
  const config = parseImageConfig(configBytes);
  if (!configSuits(config, platform))
    throw wrongPlatform(path, platform, `${config.os}/${config.architecture}`);
  const members = chosen.layers.map((layer) => {
    const member = archive.find(layer);
    if (member === undefined) throw missing(path, layer);
    return member;
  });
  // The archive has no descriptors: they are made from its bytes, the same ones whenever it is opened.
  const descriptors = await Promise.all(
    members.map(async (member) =>
      describe(
        await hashRange({ path: archive.path, ...member }, 'sha256', options.signal),
        member.sizeBytes,
        TAR_LAYER,
      ),
    ),
  );
  const manifest: Manifest = {
    mediaType: MEDIA_TYPES.ociManifest,
    config: describe(digestOf(configBytes), configBytes.byteLength, MEDIA_TYPES.ociConfig),
    layers: descriptors,
    annotations: {},
  };
  assertConfigFits(manifest, config);
  const identity = [manifest.config.digest, ...descriptors.map(({ digest }) => digest)].join('\n');
  return {
    manifestDigest: digestOf(Buffer.from(`docker-archive\n${identity}\n`)),
    platform,
    manifest,
    config,
    layers: members.map((member, i) => {
      const descriptor = descriptors[i];
      const diffId = config.rootfs.diffIds[i];
      if (descriptor === undefined || diffId === undefined) throw missing(path, `layer ${i}`);
      // Its digest was made from its bytes.
      return layerOf(archive, member, descriptor, diffId, async () => {});
    }),
  };
}

function describe(digest: Digest, sizeBytes: number, mediaType: string): Descriptor {
  return { mediaType, digest, sizeBytes, annotations: {} };
}

/** @param verify Checks the blob, once, when its layer is first used. */
function layerOf(
  archive: ArchiveFile,
  member: ArchiveMember,
  descriptor: Descriptor,
  diffId: Digest,
  verify: () => Promise<void>,
): ImageLayer {
  const { digest, sizeBytes } = descriptor;
  let verified: Promise<void> | undefined;
  const layer: ImageLayer = {
    descriptor,
    diffId,
    offsetBytes: member.offsetBytes,
    async open() {
      if (member.sizeBytes !== sizeBytes) throw sizeMismatch(digest, sizeBytes, member.sizeBytes);
      layer.done.catch(() => {
        // Whoever awaits `done` hears of it.
      });
      return archive.path;
    },
    available: async () => sizeBytes,
    get done() {
      verified ??= verify();
      return verified;
    },
  };
  return layer;
}

async function verify(
  place: BlobPlace,
  { digest }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const actual = await hashRange(place, digestAlgorithm(digest), signal);
  if (actual !== digest) throw digestMismatch(digest, actual);
}

function blobName(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

async function readBlob(
  archive: ArchiveFile,
  path: string,
  { digest, sizeBytes }: Descriptor,
): Promise<Buffer> {
  const bytes = await archive.read(blobName(digest), MAX_MANIFEST_BYTES);
  if (bytes === undefined) throw missing(path, digest);
  if (bytes.byteLength !== sizeBytes) throw sizeMismatch(digest, sizeBytes, bytes.byteLength);
  const actual = digestOf(bytes, digestAlgorithm(digest));
  if (actual !== digest) throw digestMismatch(digest, actual);
  return bytes;
}

function missing(path: string, what: string): HearthError {
  return new HearthError('BLOB_UNKNOWN', `the archive ${path} lacks ${what}`, {
    hint: 'Save the image into an archive again, complete.',
    details: { path, what },
  });
}

function unknownImage(path: string, name: string | undefined, names: readonly string[]): HearthError {
  const what =
    names.length === 0
      ? 'no image'
      : name === undefined
        ? `${names.length} images`
        : `no single image ${JSON.stringify(name)}`;
  return new HearthError('MANIFEST_UNKNOWN', `the archive ${path} holds ${what}`, {
    hint: 'Name an oci-archive or docker-archive and one of the images in it.',
    details: { path, name: name ?? null, names },
  });
}

function wrongPlatform(path: string, platform: Platform, offered: string): HearthError {
  const wanted = formatPlatform(platform);
  return new HearthError(
    'PLATFORM_NOT_FOUND',
    `the archive ${path} holds an image for ${offered}, not for ${wanted}`,
    {
      hint: 'Save the image for this platform, or choose another one with --platform.',
      details: { platform: wanted, offered: [offered] },
    },
  );
}

function sizeMismatch(digest: Digest, expectedBytes: number, actualBytes: number): HearthError {
  return new HearthError('SIZE_MISMATCH', `${digest} has ${actualBytes} bytes, expected ${expectedBytes}`, {
    hint: 'Save the image into an archive again.',
    details: { digest, expectedBytes, actualBytes },
  });
}

function digestMismatch(expected: Digest, actual: Digest): HearthError {
  return new HearthError(
    'DIGEST_MISMATCH',
    `a blob of the archive has the digest ${actual}, expected ${expected}`,
    {
      hint: 'Save the image into an archive again.',
      details: { expected, actual },
    },
  );
}
