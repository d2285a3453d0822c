/** Images in an OCI image layout that somebody else made (`skopeo copy … oci:DIR`). Read-only. */
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded } from '../fsx/index.js';
import {
  assertConfigFits,
  assertImageManifest,
  assertManifestSize,
  chooseManifest,
  DEFAULT_PLATFORM,
  type Descriptor,
  type Digest,
  type DocumentReader,
  digestAlgorithm,
  digestOf,
  type Image,
  type ImageLayer,
  MAX_MANIFEST_BYTES,
  type Platform,
  parseDocument,
  parseImageConfig,
} from '../oci/index.js';
import { digestMismatch, hashFile, sizeMismatch } from './blob-file.js';
import { blobPath, isLayoutFile, layoutPaths } from './layout.js';
import { readLayoutIndex, refName } from './refs.js';

export interface LayoutImageOptions {
  /** Default linux/amd64. */
  readonly platform?: Platform;
  readonly signal?: AbortSignal;
}

const MAX_LAYOUT_FILE_BYTES = 4096;

/**
 * Opens an image of an OCI image layout directory. Blobs are hashed when they are first used.
 *
 * @param name The name of an entry of `index.json` (`org.opencontainers.image.ref.name`), its digest, or the tag
 *   that its name ends with; may be left out when the layout holds one image.
 * @throws {HearthError} `FILE_NOT_FOUND` when it is no layout, `MANIFEST_UNKNOWN` when the name is not in it or
 *   needed, and what is thrown for malformed images.
 */
export async function openLayoutImage(
  directory: string,
  name?: string,
  options: LayoutImageOptions = {},
): Promise<Image> {
  const root = resolve(directory);
  await assertLayout(root);
  const entry = chooseEntry(root, await readLayoutIndex(layoutPaths(root).index), name);
  const reader: DocumentReader = {
    readDocument: (descriptor) => readBlob(root, descriptor),
    readConfig: (descriptor) => readBlob(root, descriptor),
  };
  const document = parseDocument(await readBlob(root, entry), entry.mediaType);
  const platform = options.platform ?? DEFAULT_PLATFORM;
  const chosen = await chooseManifest({ document, digest: entry.digest }, platform, reader);
  assertImageManifest(chosen.manifest);
  const config = parseImageConfig(await readBlob(root, chosen.manifest.config));
  assertConfigFits(chosen.manifest, config);
  const layers = chosen.manifest.layers.map((descriptor, index) => {
    const diffId = config.rootfs.diffIds[index];
    if (diffId === undefined) throw new HearthError('INTERNAL', 'a layer has no diffID');
    return new LayoutLayer(root, descriptor, diffId, options.signal);
  });
  return { ...chosen, config, layers };
}

async function assertLayout(root: string): Promise<void> {
  const path = join(root, 'oci-layout');
  try {
    if (isLayoutFile((await readFileBounded(path, MAX_LAYOUT_FILE_BYTES)).toString('utf8'))) return;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw fileError(error, path);
  }
  throw new HearthError('FILE_NOT_FOUND', `${root} is not an OCI image layout`, {
    hint: 'Name a directory that holds oci-layout, index.json and blobs, for example one made by skopeo copy … oci:DIR.',
    details: { path: root },
  });
}

function chooseEntry(root: string, entries: readonly Descriptor[], name: string | undefined): Descriptor {
  const exact = entries.filter((entry) => refName(entry) === name || entry.digest === name);
  const byTag = entries.filter((entry) => refName(entry)?.endsWith(`:${name}`) === true);
  const found = name === undefined ? entries : exact.length > 0 ? exact : byTag;
  const only = found.at(-1);
  const isOne = new Set(found.map((entry) => entry.digest)).size === 1;
  if (only !== undefined && isOne) return only;
  const names = entries.map((entry) => refName(entry) ?? entry.digest);
  const problem =
    only === undefined
      ? name === undefined
        ? 'holds no image'
        : `holds no image named ${JSON.stringify(name)}`
      : `holds ${found.length} images that could be meant`;
  throw new HearthError('MANIFEST_UNKNOWN', `${root} ${problem}`, {
    hint: 'Name one of the images that the layout holds.',
    details: { path: root, name: name ?? null, names },
  });
}

/** The verified bytes of a document of the layout. */
async function readBlob(root: string, descriptor: Descriptor): Promise<Buffer> {
  const { digest, sizeBytes } = descriptor;
  assertManifestSize(sizeBytes, digest);
  const path = blobPath(root, digest);
  let bytes: Buffer;
  try {
    bytes = await readFileBounded(path, MAX_MANIFEST_BYTES);
  } catch (error) {
    throw errnoOf(error) === 'ENOENT' ? missing(path, digest, error) : fileError(error, path);
  }
  if (bytes.byteLength !== sizeBytes) throw sizeMismatch(digest, sizeBytes, bytes.byteLength);
  const actual = digestOf(bytes, digestAlgorithm(digest));
  if (actual !== digest) throw digestMismatch(digest, actual, bytes.byteLength);
  return bytes;
}

function missing(path: string, digest: Digest, cause?: unknown): HearthError {
  return new HearthError('BLOB_UNKNOWN', `the image layout lacks ${digest}`, {
    hint: 'Copy the image into the layout again, complete.',
    details: { path, digest },
    cause,
  });
}

class LayoutLayer implements ImageLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  #verified: Promise<void> | undefined;

  constructor(root: string, descriptor: Descriptor, diffId: Digest, signal: AbortSignal | undefined) {
    this.descriptor = descriptor;
    this.diffId = diffId;
    this.#path = blobPath(root, descriptor.digest);
    this.#signal = signal;
  }

  async open(): Promise<string> {
    const { digest, sizeBytes } = this.descriptor;
    let found: Awaited<ReturnType<typeof stat>>;
    try {
      found = await stat(this.#path);
    } catch (error) {
      throw errnoOf(error) === 'ENOENT' ? missing(this.#path, digest, error) : fileError(error, this.#path);
    }
    if (!found.isFile()) throw missing(this.#path, digest);
    if (found.size !== sizeBytes) throw sizeMismatch(digest, sizeBytes, found.size);
    this.done.catch(() => {
      // Whoever awaits `done` hears of it.
    });
    return this.#path;
  }

  async available(): Promise<number> {
    return this.descriptor.sizeBytes;
  }

  get done(): Promise<void> {
    this.#verified ??= this.#verify();
    return this.#verified;
  }

  async #verify(): Promise<void> {
    const { digest, sizeBytes } = this.descriptor;
    // Build systems fill layouts with links; what they lead to is hashed like any other file.
    const hashed = await hashFile(await realpath(this.#path), digest, this.#signal);
    if (hashed === undefined) throw missing(this.#path, digest);
    if (hashed.digest !== digest) throw digestMismatch(digest, hashed.digest, hashed.sizeBytes);
    if (hashed.sizeBytes !== sizeBytes) throw sizeMismatch(digest, sizeBytes, hashed.sizeBytes);
  }
}
