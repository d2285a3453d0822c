/**
 * A blob being written: one growing file per digest in `ingest/`, kept when its writer dies, so that the next
 * one goes on where it stopped. The lock is the kernel's and dies with its holder.
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import type { Lock } from '../fsx/index.js';
import { type BlobKey, digestAlgorithm, digestOfHash, type Ingest, type Lease } from '../oci/index.js';
import { digestMismatch, hashInto, sizeMismatch } from './blob-file.js';
import { ingestName } from './layout.js';

const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';
/** How much may be dirty in the page cache before the disk is asked to take it, so that the last sync is short. */
const SYNC_EVERY_BYTES = 32 * 1024 * 1024;

let bootId: Promise<string> | undefined;

/**
 * Names this boot of the host: bytes that an earlier boot wrote may have been lost by a power cut although the
 * file's size was not, so they are not resumed.
 */
async function thisBoot(): Promise<string> {
  bootId ??= readFile(BOOT_ID_FILE, 'utf8').then(
    (text) => text.replaceAll('-', '').slice(0, 12),
    // Without /proc nothing is resumed.
    () => randomBytes(6).toString('hex'),
  );
  return bootId;
}

/** Needs an open store's directories, the digest's lock and a lease; owns both from here on, also when it throws. */
export async function openIngest(
  directory: string,
  finalPath: string,
  blob: BlobKey,
  lock: Lock,
  lease: Lease,
): Promise<Ingest> {
  const ingest = new FileIngest(directory, finalPath, blob, lock, lease);
  try {
    await ingest.resume();
    return ingest;
  } catch (error) {
    await ingest[Symbol.asyncDispose]();
    throw fileError(error, directory);
  }
}

class FileIngest implements Ingest {
  readonly #directory: string;
  readonly #finalPath: string;
  readonly #blob: BlobKey;
  readonly #lock: Lock;
  readonly #lease: Lease;
  #partPath = '';
  #file: FileHandle | undefined;
  #hash: Hash;
  #written = 0;
  #resumed = 0;
  #synced = 0;
  #isCommitted = false;
  #syncing: Promise<void> | undefined;

  constructor(directory: string, finalPath: string, blob: BlobKey, lock: Lock, lease: Lease) {
    this.#directory = directory;
    this.#finalPath = finalPath;
    this.#blob = blob;
    this.#lock = lock;
    this.#lease = lease;
    this.#hash = createHash(digestAlgorithm(blob.digest));
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.#handle.fd}`;
  }

  get writtenBytes(): number {
    return this.#written;
  }

  get resumedBytes(): number {
    return this.#resumed;
  }

  get #handle(): FileHandle {
    if (this.#file === undefined)
      throw new HearthError('INTERNAL', 'a blob was written after its ingest ended');
    return this.#file;
  }

  /** Opens what an interrupted writer left, or a new file. */
  async resume(): Promise<void> {
    const name = ingestName(this.#blob.digest);
    const partName = `${name}.${await thisBoot()}.part`;
    this.#partPath = join(this.#directory, partName);
    for (const other of await readdir(this.#directory)) {
      if (other.startsWith(`${name}.`) && other.endsWith('.part') && other !== partName) {
        await rm(join(this.#directory, other), { recursive: true, force: true });
      }
    }
    try {
      this.#file = await this.#openPart(0);
    } catch (error) {
      // A link or a directory in its place was not put there by us.
      if (errnoOf(error) !== 'ELOOP' && errnoOf(error) !== 'EISDIR') throw error;
      await this.restart();
    }
    const { size: foundBytes } = await this.#handle.stat();
    if (foundBytes > this.#blob.sizeBytes) await this.restart();
    this.#written = await hashInto(this.#hash, this.#handle);
    this.#resumed = this.#written;
    await this.#assertSpace();
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    let sizeBytes = 0;
    for (const chunk of chunks) sizeBytes += chunk.byteLength;
    if (this.#written + sizeBytes > this.#blob.sizeBytes) {
      throw sizeMismatch(this.#blob.digest, this.#blob.sizeBytes, this.#written + sizeBytes);
    }
    try {
      const writing = this.#writeAll(chunks, sizeBytes);
      // Hashed while the kernel copies; if the write fails the hash is never looked at.
      for (const chunk of chunks) this.#hash.update(chunk);
      await writing;
    } catch (error) {
      throw await this.#writeError(error);
    }
    this.#written += sizeBytes;
    if (this.#written - this.#synced >= SYNC_EVERY_BYTES) this.#syncBehind();
  }

  async restart(): Promise<void> {
    await this.#syncing;
    await this.#file?.close();
    this.#file = undefined;
    await rm(this.#partPath, { recursive: true, force: true });
    this.#file = await this.#openPart(constants.O_EXCL);
    this.#hash = createHash(digestAlgorithm(this.#blob.digest));
    this.#written = 0;
    this.#resumed = 0;
    this.#synced = 0;
  }

  async commit(): Promise<void> {
    const { digest, sizeBytes } = this.#blob;
    const actual = digestOfHash(this.#hash, digestAlgorithm(digest));
    if (this.#written !== sizeBytes || actual !== digest) {
      await rm(this.#partPath, { force: true });
      if (this.#written !== sizeBytes) throw sizeMismatch(digest, sizeBytes, this.#written);
      throw digestMismatch(digest, actual, sizeBytes);
    }
    try {
      await this.#syncing;
      await this.#handle.sync();
      await renameOver(this.#partPath, this.#finalPath);
    } catch (error) {
      throw await this.#writeError(error);
    }
    this.#isCommitted = true;
    await this.#lock.release();
    await this.#lease.release();
  }

  async abandon(): Promise<void> {
    if (this.#file === undefined || this.#isCommitted) return;
    this.#written = 0;
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    // Nothing to resume. As long as the lock is held, nobody else uses the name.
    if (file !== undefined && this.#written === 0 && !this.#isCommitted)
      await rm(this.#partPath, { force: true });
    await this.#syncing;
    await file?.close();
    await this.#lock.release();
    await this.#lease.release();
  }

  async #openPart(flags: number): Promise<FileHandle> {
    const all = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | flags;
    return open(this.#partPath, all, 0o600);
  }

  async #writeAll(chunks: readonly Uint8Array[], sizeBytes: number): Promise<void> {
    const file = this.#handle;
    const { bytesWritten } = await file.writev(chunks, this.#written);
    if (bytesWritten === sizeBytes) return;
    // A short write comes before ENOSPC or a quota; writing the rest tells which.
    const rest = Buffer.concat(chunks).subarray(bytesWritten);
    let offset = 0;
    while (offset < rest.byteLength) {
      const position = this.#written + bytesWritten + offset;
      const step = await file.write(rest, offset, rest.byteLength - offset, position);
      offset += step.bytesWritten;
    }
  }

  #syncBehind(): void {
    if (this.#syncing !== undefined) return;
    this.#synced = this.#written;
    const syncing = this.#handle.datasync().then(
      () => undefined,
      // The final sync reports it.
      () => undefined,
    );
    this.#syncing = syncing.then(() => {
      this.#syncing = undefined;
    });
  }

  /** Stops before the first byte when the file system cannot hold the rest. */
  async #assertSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#directory);
    const freeBytes = bavail * bsize;
    if (freeBytes < this.#blob.sizeBytes - this.#written) throw this.#diskFull({ freeBytes });
  }

  /** A full disk is freed of the part, which is of no use to anybody then. */
  async #writeError(error: unknown): Promise<unknown> {
    const errno = errnoOf(error);
    if (errno !== 'ENOSPC' && errno !== 'EDQUOT') return fileError(error, this.#partPath);
    await rm(this.#partPath, { force: true });
    return this.#diskFull({ errno }, error);
  }

  #diskFull(facts: Readonly<Record<string, unknown>>, cause?: unknown): HearthError {
    const { digest, sizeBytes } = this.#blob;
    return new HearthError(
      'DISK_FULL',
      `no space left on the file system of ${this.#directory} for a blob of ${sizeBytes} bytes`,
      {
        hint: 'Free some space (`hearth cache prune` removes what can be fetched again) and run the same command again.',
        details: { path: this.#directory, digest, neededBytes: sizeBytes, ...facts },
        cause,
      },
    );
  }
}

/** Renames a file over whatever has the name: a file or link is replaced by the kernel, a directory first removed. */
export async function renameOver(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'EISDIR') throw error;
    await rm(to, { recursive: true, force: true });
    await rename(from, to);
  }
}
