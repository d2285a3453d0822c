/**
 * The blob store: a content-addressed OCI image layout that any number of processes share.
 * Whatever has a blob's name was complete, verified and synced before it got it.
 */
import { randomBytes } from 'node:crypto';
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError } from '../errors/index.js';
import { acquireLock, type Lock } from '../fsx/index.js';
import {
  type BlobKey,
  type BlobStore,
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestOf,
  type Ingest,
  type Lease,
} from '../oci/index.js';
import { digestMismatch, hashFile, lstatIfThere, readBlobFile, sizeMismatch } from './blob-file.js';
import { type Collected, type CollectOptions, collect, sweepIngest } from './collect.js';
import { openIngest, renameOver } from './ingest.js';
import { blobPath, ingestName, type LayoutPaths, layoutPaths, prepareLayout } from './layout.js';
import { Leases } from './lease.js';
import { findRef, setRef } from './refs.js';

/** Longer than any download: a writer that makes no progress gives up by itself, and a dead one frees its lock. */
const WRITER_WAIT_MS = 24 * 60 * 60 * 1000;

export interface LocalBlobStore extends BlobStore {
  readonly directory: string;
  /**
   * Removes what nothing needs.
   *
   * @throws {HearthError} `STORE_LOCKED` while any process holds a lease; nothing is removed then.
   */
  gc(options?: CollectOptions): Promise<Collected>;
  usage(): Promise<StoreUsage>;
}

export interface StoreUsage {
  readonly blobCount: number;
  readonly sizeBytes: number;
}

/**
 * Opens the store in `directory`, creating it (0700) if needed.
 *
 * @throws {HearthError} `STORE_INSECURE`, `STORE_CORRUPT`, `FILE_UNREADABLE`, `DISK_FULL`.
 */
export async function openBlobStore(directory: string): Promise<LocalBlobStore> {
  const paths = layoutPaths(directory);
  await prepareLayout(paths);
  return new DirectoryStore(paths);
}

class DirectoryStore implements LocalBlobStore {
  readonly #paths: LayoutPaths;
  readonly #leases: Leases;

  constructor(paths: LayoutPaths) {
    this.#paths = paths;
    this.#leases = new Leases(paths.leaseLock, () => sweepIngest(paths));
  }

  get directory(): string {
    return this.#paths.root;
  }

  path(digest: Digest): string {
    return blobPath(this.#paths.root, digest);
  }

  async has(blob: BlobKey): Promise<boolean> {
    const found = await lstatIfThere(this.path(blob.digest));
    if (found?.isFile() !== true) return false;
    if (found.size === blob.sizeBytes) return true;
    const hashed = await hashFile(this.path(blob.digest), blob.digest);
    if (hashed?.digest === blob.digest) throw sizeMismatch(blob.digest, blob.sizeBytes, hashed.sizeBytes);
    return false;
  }

  async verify(blob: BlobKey, options: { readonly signal?: AbortSignal } = {}): Promise<boolean> {
    if (!(await this.has(blob))) return false;
    const hashed = await hashFile(this.path(blob.digest), blob.digest, options.signal);
    return hashed?.digest === blob.digest;
  }

  async read(digest: Digest, maxBytes: number): Promise<Buffer | undefined> {
    const bytes = await readBlobFile(this.path(digest), maxBytes);
    if (bytes === undefined || digestOf(bytes, digestAlgorithm(digest)) !== digest) return undefined;
    return bytes;
  }

  async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    const actual = digestOf(bytes, digestAlgorithm(digest));
    if (actual !== digest) throw digestMismatch(digest, actual, bytes.byteLength);
    if ((await this.read(digest, bytes.byteLength)) !== undefined) return;
    await using _lease = await this.lease();
    const name = `${ingestName(digest)}.${randomBytes(6).toString('hex')}.tmp`;
    const temporary = join(this.#paths.ingest, name);
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await renameOver(temporary, this.path(digest));
    } catch (error) {
      await rm(temporary, { force: true });
      throw fileError(error, temporary);
    }
  }

  async ingest(blob: BlobKey, options: { readonly signal?: AbortSignal } = {}): Promise<Ingest | undefined> {
    if (await this.has(blob)) return undefined;
    const lease = await this.#leases.take(options.signal);
    let lock: Lock | undefined;
    try {
      lock = await this.#lockWriter(blob.digest, options.signal);
      if (!(await this.has(blob))) {
        return await openIngest(this.#paths.ingest, this.path(blob.digest), blob, lock, lease);
      }
    } catch (error) {
      await lock?.release();
      await lease.release();
      throw error;
    }
    await lock.release();
    await lease.release();
    return undefined;
  }

  async discard(digest: Digest): Promise<boolean> {
    await using _lease = await this.lease();
    await using _lock = await this.#lockWriter(digest);
    const path = this.path(digest);
    if ((await lstatIfThere(path)) === undefined) return false;
    const hashed = await hashFile(path, digest);
    if (hashed?.digest === digest) return false;
    await rm(path, { recursive: true, force: true });
    return true;
  }

  async findRef(name: string): Promise<Descriptor | undefined> {
    return findRef(this.#paths.index, name);
  }

  async setRef(name: string, descriptor: Descriptor): Promise<void> {
    await setRef(this.#paths, name, descriptor);
  }

  async lease(options: { readonly signal?: AbortSignal } = {}): Promise<Lease> {
    return this.#leases.take(options.signal);
  }

  async gc(options: CollectOptions = {}): Promise<Collected> {
    return collect(this.#paths, options);
  }

  async usage(): Promise<StoreUsage> {
    let blobCount = 0;
    let sizeBytes = 0;
    for (const algorithm of ['sha256', 'sha512']) {
      const directory = join(this.#paths.blobs, algorithm);
      for (const name of await readdir(directory)) {
        const found = await lstatIfThere(join(directory, name));
        if (found?.isFile() !== true) continue;
        blobCount += 1;
        sizeBytes += found.size;
      }
    }
    return { blobCount, sizeBytes };
  }

  async #lockWriter(digest: Digest, signal?: AbortSignal): Promise<Lock> {
    return acquireLock(join(this.#paths.ingest, `${ingestName(digest)}.lock`), {
      timeoutMs: WRITER_WAIT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
  }
}
