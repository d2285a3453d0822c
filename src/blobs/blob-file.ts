/** Files that should hold one blob: whether they do. */
import { createHash, type Hash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { errnoOf, HearthError } from '../errors/index.js';
import { type Digest, digestAlgorithm, digestOfHash } from '../oci/index.js';

const READ_BYTES = 1024 * 1024;
/** What a damaged, absent or replaced file says when it is opened or read. */
const DAMAGE = new Set(['ENOENT', 'ELOOP', 'EISDIR', 'ENOTDIR', 'EIO', 'ENXIO', 'EUCLEAN']);

/** What lies under a name, without following a link; undefined when nothing does. */
export async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Feeds a whole file to `hash`. Returns the bytes read. */
export async function hashInto(hash: Hash, file: FileHandle, signal?: AbortSignal): Promise<number> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let offset = 0;
  for (;;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES, offset);
    if (bytesRead === 0) return offset;
    hash.update(buffer.subarray(0, bytesRead));
    offset += bytesRead;
  }
}

export interface HashedFile {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Digest and size of a regular file; undefined when there is none or it cannot be read (a link, EIO). */
export async function hashFile(
  path: string,
  expected: Digest,
  signal?: AbortSignal,
): Promise<HashedFile | undefined> {
  const algorithm = digestAlgorithm(expected);
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) return undefined;
    const hash = createHash(algorithm);
    const sizeBytes = await hashInto(hash, file, signal);
    return { digest: digestOfHash(hash, algorithm), sizeBytes };
  } catch (error) {
    if (DAMAGE.has(errnoOf(error) ?? '')) return undefined;
    throw error;
  } finally {
    await file?.close();
  }
}

/** The bytes of a regular file of at most `maxBytes`; undefined when there is none, or it is larger or unreadable. */
export async function readBlobFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > maxBytes) return undefined;
    return await file.readFile();
  } catch (error) {
    if (DAMAGE.has(errnoOf(error) ?? '')) return undefined;
    throw error;
  } finally {
    await file?.close();
  }
}

export function digestMismatch(expected: Digest, actual: Digest, sizeBytes: number): HearthError {
  return new HearthError(
    'DIGEST_MISMATCH',
    `digest mismatch after ${sizeBytes} bytes: expected ${expected}, got ${actual}`,
    {
      hint: 'Pull the image again; if it repeats, the registry or a proxy is serving altered content.',
      details: { expected, actual, sizeBytes },
    },
  );
}

export function sizeMismatch(digest: Digest, expectedBytes: number, actualBytes: number): HearthError {
  return new HearthError(
    'SIZE_MISMATCH',
    `${digest} should have ${expectedBytes} bytes, got ${actualBytes}`,
    {
      hint: 'Pull the image again; if it repeats, the image or the registry is broken.',
      details: { digest, expectedBytes, actualBytes },
    },
  );
}
