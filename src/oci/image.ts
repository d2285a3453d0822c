/**
 * An image as its consumers see it: parsed documents plus layers whose bytes may still be arriving.
 * Registries, OCI layouts and docker archives produce it; `rootfs/` turns it into a file system.
 */
import type { ImageConfig } from './config.js';
import type { Descriptor } from './descriptor.js';
import type { Digest } from './digest.js';
import type { Manifest } from './manifest.js';
import type { Platform } from './platform.js';

export interface Image {
  /** Digest of the index the platform was chosen from; absent when the reference named a manifest. */
  readonly indexDigest?: Digest;
  /** Digest of the platform's manifest: the identity of the image. */
  readonly manifestDigest: Digest;
  readonly platform: Platform;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  /** Base layer first, as in the manifest; as many as `config.rootfs.diffIds`. */
  readonly layers: readonly ImageLayer[];
}

/**
 * One layer blob, readable while it arrives. Nothing read before `done` resolves may be trusted;
 * whoever used such bytes throws its work away when `done` rejects.
 */
export interface ImageLayer {
  readonly descriptor: Descriptor;
  /** Digest that the uncompressed bytes must have; checked by whoever decompresses them. */
  readonly diffId: Digest;
  /** Where the blob begins in the file that `open` names: images inside archives. Default 0. */
  readonly offsetBytes?: number;
  /** Starts the transfer if needed. Resolves to the absolute path of a file that grows; open it once and keep it open. */
  open(): Promise<string>;
  /**
   * Waits until more than `offset` bytes can be read from the file, and resolves to how many can.
   * Resolves to the final size (= `descriptor.sizeBytes`) once the blob is complete. Never shrinks.
   */
  available(offset: number): Promise<number>;
  /**
   * How often bytes that could be read have turned out wrong and been fetched anew; undefined where that cannot
   * happen. When it grows, `available` rejects once for everyone who was reading, and `open` names another file:
   * what was read before is worthless, reading again gives the right bytes.
   */
  readonly replacements?: number | undefined;
  /** Resolves when size and digest have been verified and the blob is in the store; rejects with the transfer's error. */
  readonly done: Promise<void>;
}
