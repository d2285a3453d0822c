/**
 * What a superblock says, checked: every count that follows is bounded by the size of the disk.
 * Source: Linux 6.12, Documentation/filesystems/ext4/super.rst.
 */
import { damaged, unsupported } from './problem.js';

/** Where it starts on the disk, and how long it is. */
export const SUPERBLOCK_AT = 1024;
export const SUPERBLOCK_BYTES = 1024;

const MAGIC = 0xef53;
const RECOVER = 0x4;
const META_BLOCK_GROUPS = 0x10;
const IS_64_BIT = 0x80;
const HAS_JOURNAL = 0x4;
const SPARSE_SUPER = 0x1;
const SPARSE_SUPER_2 = 0x200;
/** filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg, csum_seed, largedir. */
const KNOWN_INCOMPATIBLE =
  0x2 | RECOVER | META_BLOCK_GROUPS | 0x40 | IS_64_BIT | 0x100 | 0x200 | 0x2000 | 0x4000;
const MAX_INODES = 2 ** 32 - 1;

export interface Superblock {
  readonly blockBytes: number;
  readonly blockCount: number;
  readonly firstBlock: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodeCount: number;
  readonly inodeBytes: number;
  readonly descriptorBytes: number;
  /** Descriptor blocks from this one on lie in their own groups; undefined: none. */
  readonly firstMetaGroup: number | undefined;
  readonly sparseSuper: boolean;
  /** 0: none. */
  readonly journalInode: number;
  readonly needsRecovery: boolean;
}

/** @throws {HearthError} `FILE_SYSTEM_INVALID`, `FILE_SYSTEM_UNSUPPORTED`. */
export function readSuperblock(bytes: Buffer, diskBytes: number): Superblock {
  if (bytes.readUInt16LE(56) !== MAGIC) throw damaged('there is no ext4 superblock');
  const incompatible = bytes.readUInt32LE(96);
  const unknown = (incompatible & ~KNOWN_INCOMPATIBLE) >>> 0;
  if (unknown !== 0) throw unsupported(`features 0x${unknown.toString(16)}`, { features: unknown });
  const logBlock = bytes.readUInt32LE(24);
  if (logBlock > 6) throw damaged(`blocks of 2^${logBlock + 10} bytes`);
  const blockBytes = 1024 << logBlock;
  const is64Bit = (incompatible & IS_64_BIT) !== 0;
  const blockCount = bytes.readUInt32LE(4) + (is64Bit ? bytes.readUInt32LE(336) * 2 ** 32 : 0);
  if (blockCount === 0 || blockCount > diskBytes / blockBytes) {
    throw damaged(`it has ${blockCount} blocks on a disk of ${diskBytes} bytes`, { blockCount, diskBytes });
  }
  const firstBlock = bytes.readUInt32LE(20);
  const blocksPerGroup = bytes.readUInt32LE(32);
  const inodesPerGroup = bytes.readUInt32LE(40);
  const inodeCount = bytes.readUInt32LE(0);
  const inodeBytes = bytes.readUInt32LE(76) === 0 ? 128 : bytes.readUInt16LE(88);
  const descriptorBytes = is64Bit ? bytes.readUInt16LE(254) : 32;
  if (firstBlock !== (blockBytes === 1024 ? 1 : 0)) throw damaged(`its first block is ${firstBlock}`);
  if (blocksPerGroup === 0 || blocksPerGroup > 8 * blockBytes)
    throw damaged(`groups of ${blocksPerGroup} blocks`);
  if (inodesPerGroup === 0 || inodesPerGroup > 8 * blockBytes)
    throw damaged(`groups of ${inodesPerGroup} inodes`);
  if (inodeBytes < 128 || inodeBytes > blockBytes || (inodeBytes & (inodeBytes - 1)) !== 0) {
    throw damaged(`inodes of ${inodeBytes} bytes`);
  }
  if (descriptorBytes < 32 || descriptorBytes > 1024 || (descriptorBytes & (descriptorBytes - 1)) !== 0) {
    throw damaged(`group descriptors of ${descriptorBytes} bytes`);
  }
  const groupCount = Math.ceil((blockCount - firstBlock) / blocksPerGroup);
  if (inodeCount > Math.min(groupCount * inodesPerGroup, MAX_INODES))
    throw damaged(`it has ${inodeCount} inodes`);
  const compatible = bytes.readUInt32LE(92);
  return {
    blockBytes,
    blockCount,
    firstBlock,
    blocksPerGroup,
    inodesPerGroup,
    inodeCount,
    inodeBytes,
    descriptorBytes,
    firstMetaGroup: (incompatible & META_BLOCK_GROUPS) === 0 ? undefined : bytes.readUInt32LE(260),
    sparseSuper: (bytes.readUInt32LE(100) & SPARSE_SUPER) !== 0 && (compatible & SPARSE_SUPER_2) === 0,
    journalInode: (compatible & HAS_JOURNAL) === 0 ? 0 : bytes.readUInt32LE(224),
    needsRecovery: (incompatible & RECOVER) !== 0,
  };
}

/** The block that holds the `index`th block of group descriptors. */
export function descriptorBlock(superblock: Superblock, index: number): number {
  const { firstBlock, firstMetaGroup, blockBytes, descriptorBytes, blocksPerGroup, sparseSuper } = superblock;
  if (firstMetaGroup === undefined || index < firstMetaGroup) return firstBlock + 1 + index;
  const group = index * (blockBytes / descriptorBytes);
  const hasSuper = !sparseSuper || holdsSuperblock(group);
  return firstBlock + group * blocksPerGroup + (hasSuper ? 1 : 0);
}

/** Copies of the superblock are in the groups 0, 1 and the powers of 3, 5 and 7. */
function holdsSuperblock(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}
