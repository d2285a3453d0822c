/**
 * The digest of an image's content, as quick for a file of 64 GiB that is nearly all holes as for a small one:
 *
 *     SHA-256( SHA-256(piece 0) SHA-256(piece 1) … size )
 *
 * where the pieces are the file system's blocks in use, in ascending order, 256 blocks of 4 KiB to a piece
 * (the last one may be shorter), and `size` is the file's length in bytes, big-endian, 8 bytes. Which blocks
 * are in use is part of the content, because the bitmaps that say so are blocks in use themselves.
 */
import { createHash, webcrypto } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { fileError, HearthError } from '../errors/index.js';
import { type BlockRun, EXT4_BLOCK_BYTES, readAt, usedBlocks } from './used-blocks.js';

/** `ext4-sha256:` and 64 lower-case hexadecimal digits. */
export type RootfsDigest = `ext4-sha256:${string}`;

export interface RootfsDigestOptions {
  readonly signal?: AbortSignal;
  /** Called after each piece with the bytes hashed so far. */
  readonly onProgress?: (doneBytes: number) => void;
}

const PREFIX = 'ext4-sha256:';
const DIGEST = /^ext4-sha256:[0-9a-f]{64}$/;
const PIECE_BLOCKS = 256;
const PARALLEL_PIECES = 4;

/** Parses a digest as `digestRootfs` returns it. @throws {HearthError} `DIGEST_INVALID`. */
export function parseRootfsDigest(text: string): RootfsDigest {
  if (DIGEST.test(text)) return text as RootfsDigest;
  const shown = text.slice(0, 100);
  throw new HearthError('DIGEST_INVALID', `not a digest of a root file system: ${JSON.stringify(shown)}`, {
    hint: `Give the digest that \`hearth rootfs build\` reported: ${PREFIX} and 64 hexadecimal digits.`,
    details: { text: shown },
  });
}

/**
 * @throws {HearthError} `ROOTFS_DIGEST_MISMATCH` when the file is no ext4 image; see `fileError`; rejects with
 *   `signal.reason` when aborted.
 */
export async function digestRootfs(path: string, options: RootfsDigestOptions = {}): Promise<RootfsDigest> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const outer = createHash('sha256');
    for (const digest of await hashPieces(file, path, options)) outer.update(digest);
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt((await file.stat()).size));
    return `${PREFIX}${outer.update(size).digest('hex')}`;
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

/** The digests of all pieces, in order; a few are read and hashed at a time, on all cores. */
async function hashPieces(
  file: FileHandle,
  path: string,
  { signal, onProgress }: RootfsDigestOptions,
): Promise<Uint8Array[]> {
  const digests: Uint8Array[] = [];
  const pieces = piecesOf(usedBlocks(file, path));
  let pieceCount = 0;
  let doneBytes = 0;
  const work = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafeSlow(PIECE_BLOCKS * EXT4_BLOCK_BYTES);
    for (;;) {
      signal?.throwIfAborted();
      const { value: runs, done } = await pieces.next();
      if (done === true) return;
      const index = pieceCount;
      pieceCount += 1;
      let at = 0;
      for (const { start, count } of runs) {
        const byteCount = count * EXT4_BLOCK_BYTES;
        await readAt(file, path, start * EXT4_BLOCK_BYTES, byteCount, buffer.subarray(at));
        at += byteCount;
      }
      digests[index] = new Uint8Array(await webcrypto.subtle.digest('SHA-256', buffer.subarray(0, at)));
      doneBytes += at;
      onProgress?.(doneBytes);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_PIECES }, work));
  return digests;
}

async function* piecesOf(runs: AsyncIterable<BlockRun>): AsyncGenerator<BlockRun[], void> {
  let piece: BlockRun[] = [];
  let left = PIECE_BLOCKS;
  for await (const run of runs) {
    for (let { start, count } = run; count > 0; ) {
      const taken = Math.min(count, left);
      piece.push({ start, count: taken });
      start += taken;
      count -= taken;
      left -= taken;
      if (left > 0) continue;
      yield piece;
      piece = [];
      left = PIECE_BLOCKS;
    }
  }
  if (piece.length > 0) yield piece;
}
