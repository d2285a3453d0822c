/** Where the fixed parts of an ext4 file system lie: arithmetic only, all numbers in blocks and groups. */
import {
  BLOCK_BYTES,
  BLOCKS_PER_GROUP,
  DESCRIPTORS_PER_BLOCK,
  INODES_PER_BLOCK,
  RESIZE_INODE,
} from './format.js';

/** The most descriptor blocks, used and reserved, that a group with a superblock holds. */
export const MAX_DESCRIPTOR_BLOCKS = BLOCK_BYTES / 4;
/** 8 TiB: as many groups as those blocks can describe. */
export const MAX_BLOCK_COUNT = MAX_DESCRIPTOR_BLOCKS * DESCRIPTORS_PER_BLOCK * BLOCKS_PER_GROUP;

/** Room for 1 TiB, so that also the smallest image grows to what a sandbox may need. */
const MIN_DESCRIPTOR_BLOCKS = 128;
const GROWTH_FACTOR = 64;
const BYTES_PER_INODE = 16 * 1024;
const MAX_INODES_PER_GROUP = 8 * BLOCK_BYTES;
/** As mke2fs: a last group is kept only when it brings this many blocks more than it costs. */
const MIN_LAST_GROUP_GAIN_BLOCKS = 50;

export interface Geometry {
  readonly blockCount: number;
  readonly groupCount: number;
  readonly descriptorBlocks: number;
  readonly reservedDescriptorBlocks: number;
  /** A multiple of 16, so that tables fill whole blocks. */
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
}

function isPowerOf(base: number, value: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}

/** Whether a group has a copy of the superblock and the descriptors (sparse_super). */
export function hasSuperblock(group: number): boolean {
  return group <= 1 || isPowerOf(3, group) || isPowerOf(5, group) || isPowerOf(7, group);
}

/** Groups after the first that have such a copy, ascending. */
export function backupGroups(groupCount: number): number[] {
  const groups = new Set([1]);
  for (const base of [3, 5, 7]) for (let power = base; power < groupCount; power *= base) groups.add(power);
  return [...groups].filter((group) => group < groupCount).sort((a, b) => a - b);
}

/** Blocks at the start of a group that hold superblock, descriptors and reserved descriptors. */
export function frontBlocks(geometry: Geometry, group: number): number {
  if (!hasSuperblock(group)) return 0;
  return 1 + geometry.descriptorBlocks + geometry.reservedDescriptorBlocks;
}

/** Blocks of a group; the last one may be shorter. */
export function groupBlocks(geometry: Geometry, group: number): number {
  return Math.min(BLOCKS_PER_GROUP, geometry.blockCount - group * BLOCKS_PER_GROUP);
}

/**
 * The geometry for an image of at most `blockCount` blocks with at least `inodeCount` inodes.
 *
 * @returns undefined when that many inodes or the first group's own metadata do not fit.
 */
export function geometryOf(blockCount: number, inodeCount: number): Geometry | undefined {
  const groupCount = Math.ceil(blockCount / BLOCKS_PER_GROUP);
  const descriptorBlocks = Math.ceil(groupCount / DESCRIPTORS_PER_BLOCK);
  let withReserve = MIN_DESCRIPTOR_BLOCKS;
  while (withReserve < descriptorBlocks * GROWTH_FACTOR) withReserve *= 2;
  withReserve = Math.min(withReserve, MAX_DESCRIPTOR_BLOCKS);

  const wanted = Math.max(inodeCount, Math.ceil((blockCount * BLOCK_BYTES) / BYTES_PER_INODE), RESIZE_INODE);
  const inodeTableBlocks = Math.ceil(wanted / groupCount / INODES_PER_BLOCK);
  const inodesPerGroup = inodeTableBlocks * INODES_PER_BLOCK;
  if (groupCount < 1 || inodesPerGroup > MAX_INODES_PER_GROUP) return undefined;

  const geometry = {
    blockCount,
    groupCount,
    descriptorBlocks,
    reservedDescriptorBlocks: withReserve - descriptorBlocks,
    inodesPerGroup,
    inodeTableBlocks,
  };
  const lastGroup = groupCount - 1;
  const lastBlocks = groupBlocks(geometry, lastGroup);
  if (lastBlocks === BLOCKS_PER_GROUP) return geometry;
  const cost = frontBlocks(geometry, lastGroup) + 2 + inodeTableBlocks;
  if (lastBlocks >= cost + MIN_LAST_GROUP_GAIN_BLOCKS) return geometry;
  return lastGroup === 0 ? undefined : geometryOf(lastGroup * BLOCKS_PER_GROUP, inodeCount);
}

/** The journal that mke2fs 1.47 gives a file system of this size, in blocks; at least the least a journal can have. */
export function journalBlocksFor(blockCount: number): number {
  const steps: ReadonlyArray<readonly [below: number, journalBlocks: number]> = [
    [32_768, 1024],
    [256 * 1024, 4096],
    [512 * 1024, 8192],
    [4096 * 1024, 16_384],
    [8192 * 1024, 32_768],
    [16_384 * 1024, 65_536],
    [32_768 * 1024, 131_072],
  ];
  return steps.find(([below]) => blockCount < below)?.[1] ?? 262_144;
}

/** The least that jbd2 accepts, in blocks. */
export const MIN_JOURNAL_BLOCKS = 1024;
