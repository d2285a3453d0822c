/** What environments are made with, as seams: the registry, the converter, the kernel store. */
import type { Digest, Image, ImageLayer, Manifest, Platform, Reference } from '../oci/index.js';
import type { BootParts } from './boot-artifacts.js';
import type { KernelProvider } from './kernel-inputs.js';

export interface PullOptions {
  readonly platform: Platform;
  readonly offline: boolean;
  readonly signal?: AbortSignal;
  /** Bytes of all layers so far, and in total. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What a reference names; its blobs stay in the store until it is disposed of. */
export type PulledContent = PulledBase &
  ({ readonly kind: 'image'; readonly image: Image } | ({ readonly kind: 'artifact' } & BootArtifactContent));

interface PulledBase extends AsyncDisposable {
  readonly platform: Platform;
  /** Hashes its blobs as they lie in the cache and removes those that are damaged. True when there were any. */
  discardDamaged(): Promise<boolean>;
}

/** A manifest that is no container image's, with blobs that may still be arriving. */
export interface BootArtifactContent {
  readonly indexDigest?: Digest;
  readonly manifestDigest: Digest;
  readonly manifest: Manifest;
  /** As `manifest.layers`. */
  readonly layers: readonly ArtifactLayer[];
}

export type ArtifactLayer = Omit<ImageLayer, 'diffId'>;

export interface ConvertOptions {
  /** Where `rootfs.ext4` goes; must not exist. */
  readonly outputPath: string;
  /** Exact size of the file system; undefined: what fits. */
  readonly sizeBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface EnvironmentParts extends BootParts {
  /** Resolves a reference to a manifest; its layers may be on their way already. */
  pull(reference: Reference, options: PullOptions): Promise<PulledContent>;
  /** Writes the image's file system. @returns its digest when it is known without reading it again. */
  buildRootfs(image: Image, options: ConvertOptions): Promise<{ readonly digest: string | undefined }>;
  readonly kernels: KernelProvider;
  /** Replaces the network of archive downloads. */
  readonly fetch?: typeof globalThis.fetch;
}
