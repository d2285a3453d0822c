/** Pulling images and artifacts: from a reference to verified documents and layers that arrive in parallel. */
import { HearthError } from '../errors/index.js';
import {
  assertConfigFits,
  assertImageManifest,
  type BlobStore,
  type ChosenManifest,
  chooseManifest,
  DEFAULT_PLATFORM,
  type Descriptor,
  type Digest,
  formatReference,
  type Image,
  type ImageLayer,
  type Lease,
  MAX_MANIFEST_BYTES,
  type Manifest,
  type Platform,
  parseImageConfig,
  parseReference,
  type Reference,
} from '../oci/index.js';
import { type BlobProgress, DownloadedLayer } from './blob-download.js';
import { readDocument, resolveDocument } from './documents.js';
import { Downloads } from './downloads.js';
import type { RegistryOptions } from './options.js';
import { Sources } from './sources.js';

export interface PullOptions extends RegistryOptions {
  readonly blobs: BlobStore;
  /** Default linux/amd64. */
  readonly platform?: Platform;
  /** Uses only what is in the store. Default false. */
  readonly offline?: boolean;
  /** Hashes the layers that are in the store and fetches damaged ones again. Default false: only sizes are compared. */
  readonly verify?: boolean;
  /** Called often, also for layers that were there already. */
  readonly onProgress?: (progress: BlobProgress) => void;
}

/**
 * An image whose layers are in the store or on their way there. Its blobs are safe from collection until it is
 * disposed of, which also ends what is still under way.
 */
export interface PulledImage extends Image, AsyncDisposable {
  /** The reference in its canonical spelling. */
  readonly reference: string;
  /** Resolves when every layer is in the store; rejects with the first failure. */
  readonly done: Promise<void>;
}

/** A manifest of any kind with its blobs; the platform matters only where an index offers a choice. */
export interface PulledArtifact extends AsyncDisposable {
  readonly reference: string;
  readonly indexDigest?: Digest;
  readonly manifestDigest: Digest;
  readonly manifest: Manifest;
  /** As `manifest.layers`. */
  readonly blobs: readonly ArtifactBlob[];
  readonly done: Promise<void>;
}

export type ArtifactBlob = Omit<ImageLayer, 'diffId'>;

/**
 * Pulls an image. Resolves as soon as manifest and config are verified; the layers are on their way by then, the
 * topmost first. A second pull asks the registry only whether the tag has moved; a digest that is in the store asks
 * nothing.
 *
 * @throws {HearthError} `REFERENCE_INVALID`, `PLATFORM_NOT_FOUND`, `OFFLINE`, `DISK_FULL` and the registry's codes;
 *   rejects with `signal.reason` when aborted.
 */
export async function pullImage(reference: string | Reference, options: PullOptions): Promise<PulledImage> {
  return pull(reference, options, async (pulling, chosen) => {
    const { manifest } = chosen;
    assertImageManifest(manifest);
    const configBytes = pulling.readConfig(manifest.config);
    // The topmost layer first: it is small as a rule, and says what of the others need not be written.
    const downloads = manifest.layers
      .toReversed()
      .map((layer) => pulling.downloads.start(layer))
      .reverse();
    const config = parseImageConfig(await configBytes);
    assertConfigFits(manifest, config);
    const layers = downloads.map((download, index) => {
      const diffId = config.rootfs.diffIds[index];
      if (diffId === undefined) throw new HearthError('INTERNAL', 'a layer without a diffID');
      return new DownloadedLayer(diffId, download);
    });
    return { ...pulling.outcome(), ...chosen, config, layers };
  });
}

/**
 * Fetches the blobs of a manifest of any kind, for example an OCI artifact whose layers hold a kernel and a root
 * file system.
 *
 * @throws {HearthError} as {@link pullImage}.
 */
export async function fetchArtifact(
  reference: string | Reference,
  options: PullOptions,
): Promise<PulledArtifact> {
  return pull(reference, options, async (pulling, { indexDigest, manifestDigest, manifest }) => {
    const blobs = manifest.layers.map((layer) => pulling.downloads.start(layer));
    const index = indexDigest === undefined ? {} : { indexDigest };
    return { ...pulling.outcome(), ...index, manifestDigest, manifest, blobs };
  });
}

async function pull<T>(
  reference: string | Reference,
  options: PullOptions,
  start: (pulling: Pulling, chosen: ChosenManifest) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const pulling = new Pulling(typeof reference === 'string' ? parseReference(reference) : reference, options);
  try {
    const started = await start(pulling, await pulling.choose());
    await pulling.bound;
    return started;
  } catch (error) {
    await pulling.end(error);
    throw error;
  }
}

/** What one pull holds open: connections, a lease on the store, downloads. */
class Pulling {
  readonly downloads: Downloads;
  readonly #reference: Reference;
  readonly #options: PullOptions;
  readonly #sources: Sources;
  readonly #lease: Promise<Lease>;
  #bound = Promise.resolve();

  constructor(reference: Reference, options: PullOptions) {
    this.#reference = reference;
    this.#options = options;
    this.#sources = new Sources(reference, options);
    this.#lease = options.blobs.lease(options.signal === undefined ? {} : { signal: options.signal });
    this.#lease.catch(() => {
      // `choose` awaits it.
    });
    const context = {
      store: options.blobs,
      sources: this.#sources,
      name: formatReference(reference),
      offline: options.offline === true,
      verify: options.verify === true,
      onProgress: options.onProgress ?? (() => undefined),
    };
    this.downloads = new Downloads(context, this.#sources.limits.maxTransfers, options.signal);
  }

  /** Resolves when the store knows what the reference's tag is bound to. */
  get bound(): Promise<void> {
    return this.#bound;
  }

  async choose(): Promise<ChosenManifest> {
    const { blobs, platform = DEFAULT_PLATFORM } = this.#options;
    await this.#lease;
    const { descriptor, document, bound } = await resolveDocument(
      this.#reference,
      blobs,
      this.#sources,
      this.#options,
    );
    this.#bound = bound;
    return chooseManifest({ document, digest: descriptor.digest }, platform, {
      readDocument: (child) => readDocument(child, this.#reference, blobs, this.#sources, this.#options),
      readConfig: (config) => this.readConfig(config),
    });
  }

  /** The verified bytes of a config; fetched once by all processes together. */
  async readConfig(config: Descriptor): Promise<Uint8Array> {
    const { blobs } = this.#options;
    const stored = await blobs.read(config.digest, MAX_MANIFEST_BYTES);
    if (stored?.byteLength === config.sizeBytes) return stored;
    if (await blobs.has(config)) await blobs.discard(config.digest);
    await this.downloads.start(config, { isUrgent: true }).done;
    const fetched = await blobs.read(config.digest, MAX_MANIFEST_BYTES);
    if (fetched !== undefined) return fetched;
    throw new HearthError('STORE_CORRUPT', `the blob ${config.digest} changed after it had been stored`, {
      hint: 'Check the disk, then pull the image again.',
      details: { path: blobs.path(config.digest), digest: config.digest },
    });
  }

  outcome(): { readonly reference: string; readonly done: Promise<void> } & AsyncDisposable {
    const done = this.downloads.settled();
    done
      .then(
        () => this.#sources[Symbol.asyncDispose](),
        () => this.#sources[Symbol.asyncDispose](),
      )
      .catch(() => {
        // Connections that do not close are closed by the other side.
      });
    return {
      reference: formatReference(this.#reference),
      done,
      [Symbol.asyncDispose]: () =>
        this.end(new HearthError('INTERNAL', 'the image was disposed of while in use')),
    };
  }

  /** Ends what is under way with `reason` and frees everything. Idempotent. */
  async end(reason: unknown): Promise<void> {
    this.downloads.abort(reason);
    await this.downloads[Symbol.asyncDispose]();
    await this.#bound.catch(() => undefined);
    await this.#sources[Symbol.asyncDispose]();
    await this.#lease.then(
      (lease) => lease.release(),
      () => undefined,
    );
  }
}
