/**
 * The digest of a finished image, quick to compute for sparse files on all cores: SHA-256 over the SHA-256
 * of every 4 MiB of the file, in order (the last piece may be shorter), followed by the file's size in bytes
 * as a big-endian 64-bit number. Pieces of zeros are not hashed again.
 */

import { createHash, webcrypto } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { fileError, HearthError } from '../errors/index.js';

/** `sha256-4m:` and 64 lower-case hexadecimal digits. */
export type RootfsDigest = `sha256-4m:${string}`;

export interface RootfsDigestOptions {
  readonly signal?: AbortSignal;
  /** Called after each piece. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

const PIECE_BYTES = 4 * 1024 * 1024;
const PARALLEL_PIECES = 4;
const DIGEST = /^sha256-4m:[0-9a-f]{64}$/;

/** Parses a digest as `digestRootfs` returns it. @throws {HearthError} `DIGEST_INVALID`. */
export function parseRootfsDigest(text: string): RootfsDigest {
  if (DIGEST.test(text)) return text as RootfsDigest;
  throw new HearthError(
    'DIGEST_INVALID',
    `not a digest of a root file system: ${JSON.stringify(text.slice(0, 100))}`,
    {
      hint: 'Give the digest that `hearth rootfs build` reported: sha256-4m: and 64 hexadecimal digits.',
      details: { text: text.slice(0, 100) },
    },
  );
}

/** @throws {HearthError} see `fileError`; rejects with `signal.reason` when aborted. */
export async function digestRootfs(path: string, options: RootfsDigestOptions = {}): Promise<RootfsDigest> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const { size: totalBytes } = await file.stat();
    const pieceCount = Math.ceil(totalBytes / PIECE_BYTES);
    const digests = Buffer.alloc(pieceCount * 32);
    let next = 0;
    let doneBytes = 0;
    const work = async (handle: FileHandle): Promise<void> => {
      const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
      for (let piece = next++; piece < pieceCount; piece = next++) {
        options.signal?.throwIfAborted();
        const bytes = buffer.subarray(0, Math.min(PIECE_BYTES, totalBytes - piece * PIECE_BYTES));
        await readFully(handle, bytes, piece * PIECE_BYTES, path);
        digests.set(await hashPiece(bytes), piece * 32);
        doneBytes += bytes.byteLength;
        options.onProgress?.(doneBytes, totalBytes);
      }
    };
    const handle = file;
    await Promise.all(Array.from({ length: PARALLEL_PIECES }, () => work(handle)));
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(totalBytes));
    return `sha256-4m:${createHash('sha256').update(digests).update(size).digest('hex')}`;
  } catch (error) {
    throw fileError(error, path);
  } finally {
    await file?.close();
  }
}

/** @throws {HearthError} `ROOTFS_DIGEST_MISMATCH` when the file is not what `expected` names. */
export async function verifyRootfs(
  path: string,
  expected: RootfsDigest,
  options: RootfsDigestOptions = {},
): Promise<void> {
  const actual = await digestRootfs(path, options);
  if (actual === expected) return;
  throw new HearthError('ROOTFS_DIGEST_MISMATCH', `${path} has the digest ${actual}, expected ${expected}`, {
    hint: 'Build the root file system again; a template must not change after it was built.',
    details: { path, expected, actual },
  });
}

const ZEROS = Buffer.alloc(PIECE_BYTES);
let zeroDigest: Uint8Array | undefined;

async function hashPiece(bytes: Buffer): Promise<Uint8Array> {
  const isZero = bytes.byteLength === PIECE_BYTES && bytes.equals(ZEROS);
  if (isZero && zeroDigest !== undefined) return zeroDigest;
  const digest = new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes));
  if (isZero) zeroDigest = digest;
  return digest;
}

async function readFully(file: FileHandle, bytes: Buffer, position: number, path: string): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.byteLength - at, position + at);
    if (bytesRead === 0) {
      throw new HearthError('ROOTFS_DIGEST_MISMATCH', `${path} became shorter while it was read`, {
        hint: 'Build the root file system again.',
        details: { path },
      });
    }
    at += bytesRead;
  }
}
