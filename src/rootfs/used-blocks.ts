/**
 * Which blocks of an ext4 image are in use, by its own bitmaps. What the file system does not use is a hole
 * or left over; it is no part of its content.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Super Block", "Block Group Descriptors", "Block and Inode Bitmaps".
 */
import type { FileHandle } from 'node:fs/promises';
import { HearthError } from '../errors/index.js';

/** Block size of every image that hearth writes; others are not read. */
export const EXT4_BLOCK_BYTES = 4096;

const SUPERBLOCK_AT = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC = 0xef53;
const FEATURE_64BIT = 0x80;
const GROUP_BLOCK_UNINIT = 0x2;
const SMALL_DESCRIPTOR_BYTES = 32;
const BLOCKS_PER_GROUP = 8 * EXT4_BLOCK_BYTES;

/** Blocks `start` to `start + count - 1`. */
export interface BlockRun {
  readonly start: number;
  readonly count: number;
}

/**
 * The runs of blocks in use, in ascending order, adjacent ones of one group joined. Groups whose bitmap is
 * not initialised hold at most copies of the superblock and count as empty.
 *
 * @throws {HearthError} `ROOTFS_DIGEST_MISMATCH` when the file is no ext4 image with blocks of 4 KiB.
 */
export async function* usedBlocks(file: FileHandle, path: string): AsyncGenerator<BlockRun, void> {
  const superblock = await readAt(file, path, SUPERBLOCK_AT, SUPERBLOCK_BYTES);
  const { size: fileBytes } = await file.stat();
  const is64Bit = (superblock.readUInt32LE(0x60) & FEATURE_64BIT) !== 0;
  const blockCount = superblock.readUInt32LE(4) + (is64Bit ? superblock.readUInt32LE(0x150) * 2 ** 32 : 0);
  const descriptorBytes = is64Bit ? superblock.readUInt16LE(0xfe) : SMALL_DESCRIPTOR_BYTES;
  const isReadable =
    superblock.readUInt16LE(0x38) === MAGIC &&
    superblock.readUInt32LE(0x18) === 2 &&
    superblock.readUInt32LE(0x20) === BLOCKS_PER_GROUP &&
    descriptorBytes >= SMALL_DESCRIPTOR_BYTES &&
    blockCount * EXT4_BLOCK_BYTES <= fileBytes;
  if (!isReadable) throw notExt4(path);

  const groupCount = Math.ceil(blockCount / BLOCKS_PER_GROUP);
  const descriptors = await readAt(file, path, EXT4_BLOCK_BYTES, groupCount * descriptorBytes);
  for (let group = 0; group < groupCount; group += 1) {
    const at = group * descriptorBytes;
    if ((descriptors.readUInt16LE(at + 0x12) & GROUP_BLOCK_UNINIT) !== 0) continue;
    const high = descriptorBytes > SMALL_DESCRIPTOR_BYTES ? descriptors.readUInt32LE(at + 0x20) : 0;
    const bitmapBlock = descriptors.readUInt32LE(at) + high * 2 ** 32;
    if (bitmapBlock >= blockCount) throw notExt4(path);
    const bitmap = await readAt(file, path, bitmapBlock * EXT4_BLOCK_BYTES, EXT4_BLOCK_BYTES);
    const first = group * BLOCKS_PER_GROUP;
    yield* runsOf(bitmap, first, Math.min(BLOCKS_PER_GROUP, blockCount - first));
  }
}

/** Reads exactly `byteCount` bytes. */
export async function readAt(
  file: FileHandle,
  path: string,
  position: number,
  byteCount: number,
  into: Buffer = Buffer.allocUnsafe(byteCount),
): Promise<Buffer> {
  const bytes = into.subarray(0, byteCount);
  for (let at = 0; at < byteCount; ) {
    const { bytesRead } = await file.read(bytes, at, byteCount - at, position + at);
    if (bytesRead === 0) throw notExt4(path);
    at += bytesRead;
  }
  return bytes;
}

function* runsOf(bitmap: Buffer, first: number, count: number): Generator<BlockRun, void> {
  let start = -1;
  for (let i = 0; i < count; i += 1) {
    const byte = bitmap[i >> 3] ?? 0;
    if ((i & 7) === 0 && i + 8 <= count && byte === (start === -1 ? 0 : 0xff)) {
      i += 7;
      continue;
    }
    const isUsed = (byte & (1 << (i & 7))) !== 0;
    if (isUsed && start === -1) start = i;
    if (isUsed || start === -1) continue;
    yield { start: first + start, count: i - start };
    start = -1;
  }
  if (start !== -1) yield { start: first + start, count: count - start };
}

function notExt4(path: string): HearthError {
  return new HearthError('ROOTFS_DIGEST_MISMATCH', `${path} is no complete ext4 image`, {
    hint: 'Build the root file system again.',
    details: { path },
  });
}
