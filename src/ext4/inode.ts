/**
 * Inodes of 256 bytes.
 * Source: Linux 6.12, Documentation/filesystems/ext4/inodes.rst.
 */
import { updateCrc32c } from '../bytes/index.js';
import { CLASSIC_INODE_BYTES, EXTRA_INODE_BYTES, INODE_BYTES, SECTORS_PER_BLOCK } from './format.js';
import type { Timestamp } from './node.js';

/** Where an inode's 60 bytes of block map, symlink target or device number start. */
export const BLOCK_MAP_OFFSET = 40;
export const BLOCK_MAP_BYTES = 60;
/** Where its xattrs start. */
export const XATTR_OFFSET = CLASSIC_INODE_BYTES + EXTRA_INODE_BYTES;

const CHECKSUM_LOW_OFFSET = 124;
const CHECKSUM_HIGH_OFFSET = 130;
const MIN_SECONDS = -(2 ** 31);
const MAX_SECONDS = 2 ** 34 - 2 ** 31 - 1;

export interface InodeFields {
  /** With file type bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: Timestamp;
  readonly links: number;
  /** Blocks of data, extent tree and xattrs. */
  readonly blockCount: number;
  readonly flags: number;
  /** 0 for none. */
  readonly xattrBlock: number;
}

/** Writes all fields but the block map, the xattrs and the checksum. All four times are the mtime. */
export function writeInodeFields(view: DataView, offset: number, inode: InodeFields): void {
  const sectors = inode.blockCount * SECTORS_PER_BLOCK;
  view.setUint16(offset, inode.mode, true);
  view.setUint16(offset + 2, inode.uid & 0xffff, true);
  view.setUint32(offset + 4, inode.sizeBytes % 2 ** 32, true);
  view.setUint16(offset + 24, inode.gid & 0xffff, true);
  view.setUint16(offset + 26, inode.links, true);
  view.setUint32(offset + 28, sectors % 2 ** 32, true);
  view.setUint32(offset + 32, inode.flags, true);
  view.setUint32(offset + 104, inode.xattrBlock, true);
  view.setUint32(offset + 108, Math.floor(inode.sizeBytes / 2 ** 32), true);
  view.setUint16(offset + 116, Math.floor(sectors / 2 ** 32), true);
  view.setUint16(offset + 120, inode.uid >>> 16, true);
  view.setUint16(offset + 122, inode.gid >>> 16, true);
  view.setUint16(offset + 128, EXTRA_INODE_BYTES, true);

  const seconds = Math.min(MAX_SECONDS, Math.max(MIN_SECONDS, inode.mtime.seconds));
  const low = seconds | 0;
  const epoch = (seconds - low) / 2 ** 32;
  const extra = ((inode.mtime.nanoseconds << 2) | epoch) >>> 0;
  // atime, ctime, mtime, crtime
  for (const at of [8, 12, 16, 144]) view.setInt32(offset + at, low, true);
  for (const at of [132, 136, 140, 148]) view.setUint32(offset + at, extra, true);
}

/** Writes a device number: in 16 bits where it fits, else in the newer 32. */
export function writeDeviceNumber(view: DataView, offset: number, major: number, minor: number): void {
  const map = offset + BLOCK_MAP_OFFSET;
  if (major < 256 && minor < 256) view.setUint32(map, (major << 8) | minor, true);
  else view.setUint32(map + 4, ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0, true);
}

/** Adds the checksum; the last thing done to an inode. */
export function finishInode(bytes: Uint8Array, view: DataView, offset: number, seed: number): void {
  const checksum = updateCrc32c(seed, bytes, offset, offset + INODE_BYTES);
  view.setUint16(offset + CHECKSUM_LOW_OFFSET, checksum & 0xffff, true);
  view.setUint16(offset + CHECKSUM_HIGH_OFFSET, checksum >>> 16, true);
}
