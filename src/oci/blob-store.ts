/**
 * The contract of a blob store as those who fill it see it. `blobs/` implements it on disk, `registry/`
 * and importers write into it; neither knows the other.
 */
import type { Descriptor } from './descriptor.js';
import type { Digest } from './digest.js';

/** What names a blob; every {@link Descriptor} is one. */
export type BlobKey = Pick<Descriptor, 'digest' | 'sizeBytes'>;

export interface BlobStore {
  /** Absolute path that a blob has once it is in the store. Says nothing about its being there. */
  path(digest: Digest): string;
  /**
   * True when a regular file of the right size is there. Anything else under the name (cut, emptied, a link,
   * a directory) counts as absent; the next ingest replaces it. The content is not read: see `verify`.
   *
   * @throws {HearthError} `SIZE_MISMATCH` when the stored bytes have the digest, but another size.
   */
  has(blob: BlobKey): Promise<boolean>;
  /** As `has`, and the content has been hashed. */
  verify(blob: BlobKey, options?: { readonly signal?: AbortSignal }): Promise<boolean>;
  /** The verified bytes of a blob of at most `maxBytes`; undefined when it is absent, damaged or larger. */
  read(digest: Digest, maxBytes: number): Promise<Buffer | undefined>;
  /** Stores a small blob durably. Idempotent. Throws `DIGEST_MISMATCH` when the bytes are not the digest's. */
  write(digest: Digest, bytes: Uint8Array): Promise<void>;
  /**
   * Starts or resumes writing a blob. Waits while another process or call writes the same one.
   *
   * @returns undefined when the blob is there (by then).
   */
  ingest(blob: BlobKey, options?: { readonly signal?: AbortSignal }): Promise<Ingest | undefined>;
  /**
   * Removes a blob if its bytes are damaged, for whoever met content that cannot be right.
   *
   * @returns True when it was damaged and is gone: pull again. False when the bytes have their digest, or
   *   are not there: then the image itself is wrong. Readers that have the blob open keep it.
   */
  discard(digest: Digest): Promise<boolean>;
  /** The descriptor that a name was last bound to. */
  findRef(name: string): Promise<Descriptor | undefined>;
  /** Binds a name to a descriptor whose bytes are in the store. Readers see the old binding or the new one. */
  setRef(name: string, descriptor: Descriptor): Promise<void>;
  /** Nothing is collected until the lease is released; it ends with the process at the latest. */
  lease(options?: { readonly signal?: AbortSignal }): Promise<Lease>;
}

export interface Lease extends AsyncDisposable {
  /** Idempotent. */
  release(): Promise<void>;
}

/** A blob being written, locked against other writers. Dispose of it in every case; what was written stays for a resume. */
export interface Ingest extends AsyncDisposable {
  /** Names the growing file for as long as this process holds it, also after `commit`. Open it read-only. */
  readonly path: string;
  /** Bytes in the file, written now or by an earlier attempt that was interrupted. */
  readonly writtenBytes: number;
  /** How many of them an earlier attempt had written; its bytes are hashed but not trusted before `commit`. */
  readonly resumedBytes: number;
  /** Appends; the chunks belong to the ingest afterwards. Throws `SIZE_MISMATCH` when the blob would get too long. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Removes what was written, to free its space; nothing can be written afterwards. */
  abandon(): Promise<void>;
  /** Throws everything away and begins with a new, empty file under a new `path`. */
  restart(): Promise<void>;
  /**
   * Checks size and digest, syncs the bytes, moves them to the blob's final name and lets other writers go on.
   * `path` stays good until the ingest is disposed of.
   *
   * @throws {HearthError} `SIZE_MISMATCH`, `DIGEST_MISMATCH`; the bytes are removed then.
   */
  commit(): Promise<void>;
}
