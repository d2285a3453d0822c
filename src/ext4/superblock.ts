/**
 * The superblock.
 * Source: Linux 6.12, Documentation/filesystems/ext4/super.rst.
 */
import { updateCrc32c } from '../bytes/index.js';
import {
  BLOCKS_PER_GROUP,
  CHECKSUM_START,
  DESCRIPTOR_BYTES,
  EXTRA_INODE_BYTES,
  FEATURE_COMPAT,
  FEATURE_INCOMPAT,
  FEATURE_RO_COMPAT,
  FIRST_INODE,
  GROUPS_PER_FLEX_LOG,
  INODE_BYTES,
  JOURNAL_INODE,
} from './format.js';
import { HALF_MD4 } from './htree.js';
import { BLOCK_MAP_BYTES } from './inode.js';
import type { Geometry } from './layout.js';

const SUPERBLOCK_BYTES = 1024;
/** Where the first superblock starts in its block; copies start at 0. */
export const SUPERBLOCK_OFFSET = 1024;

const MAGIC = 0xef53;
const LOG_BLOCK_KIB = 2;
const STATE_CLEAN = 1;
const ON_ERROR_CONTINUE = 1;
const NEVER_BY_COUNT = 0xffff;
const DYNAMIC_REVISION = 1;
const DEFAULT_MOUNT_XATTR_ACL = 0x4 | 0x8;
const JOURNAL_BACKUP_BLOCKS = 1;
const CHECKSUM_CRC32C = 1;
const FLAG_SIGNED_HASH = 1;
const CHECKSUM_OFFSET = 1020;
const GROUP_NUMBER_OFFSET = 90;
const MAX_CREATED_SECONDS = 2 ** 40 - 1;

const FEATURES_COMPAT = FEATURE_COMPAT.hasJournal | FEATURE_COMPAT.extAttr | FEATURE_COMPAT.dirIndex;
const FEATURES_INCOMPAT = Object.values(FEATURE_INCOMPAT).reduce((all, bit) => all | bit, 0);
const FEATURES_RO_COMPAT = Object.values(FEATURE_RO_COMPAT).reduce((all, bit) => all | bit, 0);

export interface SuperblockFields {
  readonly geometry: Geometry;
  readonly freeBlockCount: number;
  readonly freeInodeCount: number;
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** At most 16 bytes. */
  readonly label: Uint8Array;
  readonly createdSeconds: number;
  /** The journal inode's block map and size, of which the superblock keeps a copy. */
  readonly journalMap: Uint8Array;
  readonly journalBytes: number;
}

/**
 * Makes a superblock that still has to be sealed for its group.
 *
 * No blocks are reserved for root: in a microVM root is who writes. Times of the last write and check are not set,
 * so that no clock can call them future.
 */
export function encodeSuperblock(fields: SuperblockFields): Uint8Array {
  const { geometry } = fields;
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  const put16 = (offset: number, value: number): void => view.setUint16(offset, value, true);
  const put32 = (offset: number, value: number): void => view.setUint32(offset, value, true);

  put32(0, geometry.inodesPerGroup * geometry.groupCount);
  put32(4, geometry.blockCount);
  put32(12, fields.freeBlockCount);
  put32(16, fields.freeInodeCount);
  put32(24, LOG_BLOCK_KIB);
  put32(28, LOG_BLOCK_KIB);
  put32(32, BLOCKS_PER_GROUP);
  put32(36, BLOCKS_PER_GROUP);
  put32(40, geometry.inodesPerGroup);
  put16(54, NEVER_BY_COUNT);
  put16(56, MAGIC);
  put16(58, STATE_CLEAN);
  put16(60, ON_ERROR_CONTINUE);
  put32(76, DYNAMIC_REVISION);
  put32(84, FIRST_INODE);
  put16(88, INODE_BYTES);
  put32(92, FEATURES_COMPAT | (geometry.reservedDescriptorBlocks > 0 ? FEATURE_COMPAT.resizeInode : 0));
  put32(96, FEATURES_INCOMPAT);
  put32(100, FEATURES_RO_COMPAT);
  bytes.set(fields.uuid, 104);
  bytes.set(fields.label, 120);
  put16(206, geometry.reservedDescriptorBlocks);
  put32(224, JOURNAL_INODE);
  bytes.set(fields.hashSeed, 236);
  bytes[252] = HALF_MD4;
  bytes[253] = JOURNAL_BACKUP_BLOCKS;
  put16(254, DESCRIPTOR_BYTES);
  put32(256, DEFAULT_MOUNT_XATTR_ACL);
  const created = Math.min(MAX_CREATED_SECONDS, Math.max(0, fields.createdSeconds));
  put32(264, created % 2 ** 32);
  bytes[630] = Math.floor(created / 2 ** 32);
  bytes.set(fields.journalMap, 268);
  put32(268 + BLOCK_MAP_BYTES, Math.floor(fields.journalBytes / 2 ** 32));
  put32(268 + BLOCK_MAP_BYTES + 4, fields.journalBytes % 2 ** 32);
  put16(348, EXTRA_INODE_BYTES);
  put16(350, EXTRA_INODE_BYTES);
  put32(352, FLAG_SIGNED_HASH);
  bytes[372] = GROUPS_PER_FLEX_LOG;
  bytes[373] = CHECKSUM_CRC32C;
  return bytes;
}

/** Makes a superblock the one of `group`: sets the group's number and the checksum. */
export function sealSuperblock(bytes: Uint8Array, group: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SUPERBLOCK_BYTES);
  view.setUint16(GROUP_NUMBER_OFFSET, group, true);
  view.setUint32(CHECKSUM_OFFSET, updateCrc32c(CHECKSUM_START, bytes, 0, CHECKSUM_OFFSET), true);
}
