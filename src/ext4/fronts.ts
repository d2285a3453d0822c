/**
 * The starts of groups with a superblock: superblock, descriptors and blocks reserved for more descriptors.
 * The reserved blocks belong to the resize inode, which lets the file system grow in place.
 * Source: Linux 6.12, Documentation/filesystems/ext4/special_inodes.rst, and fs/ext4/resize.c.
 */
import { BLOCK_BYTES, BLOCKS_PER_GROUP } from './format.js';
import type { BlockStage } from './image-file.js';
import { backupGroups, type Geometry } from './layout.js';
import { SUPERBLOCK_OFFSET, sealSuperblock } from './superblock.js';

const ADDRESSES_PER_BLOCK = BLOCK_BYTES / 4;
const DIRECT_BLOCKS = 12;
/** Index in an inode's block map of the block that lists indirect blocks. */
export const DOUBLE_INDIRECT_INDEX = 13;
/** The most that a double indirect map reaches, whatever of it is in use. */
export const RESIZE_INODE_BYTES =
  (DIRECT_BLOCKS + ADDRESSES_PER_BLOCK + ADDRESSES_PER_BLOCK ** 2) * BLOCK_BYTES;

/** Blocks that the resize inode counts as its own: its map and all reserved blocks in all copies. */
export function resizeInodeBlocks(geometry: Geometry): number {
  return 1 + geometry.reservedDescriptorBlocks * (1 + backupGroups(geometry.groupCount).length);
}

/** Writes the resize inode's list of the first group's reserved blocks. */
export function writeResizeMap(stage: BlockStage, block: number, geometry: Geometry): void {
  const offset = stage.claim(block);
  const { descriptorBlocks, reservedDescriptorBlocks } = geometry;
  for (let i = descriptorBlocks; i < descriptorBlocks + reservedDescriptorBlocks; i++) {
    stage.view.setUint32(offset + (i % ADDRESSES_PER_BLOCK) * 4, 1 + i, true);
  }
}

/** Writes superblocks, descriptors and, in the first group, the lists of reserved blocks in the others. */
export function writeFronts(
  stage: BlockStage,
  geometry: Geometry,
  superblock: Uint8Array,
  descriptors: Uint8Array,
): void {
  const { descriptorBlocks, reservedDescriptorBlocks } = geometry;
  const backups = backupGroups(geometry.groupCount);
  for (const group of [0, ...backups]) {
    const start = group * BLOCKS_PER_GROUP;
    sealSuperblock(superblock, group);
    const first = stage.claim(start);
    stage.bytes.set(superblock, group === 0 ? first + SUPERBLOCK_OFFSET : first);
    for (let i = 0; i < descriptorBlocks; i++) {
      const offset = stage.claim(start + 1 + i);
      stage.bytes.set(descriptors.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES), offset);
    }
    if (group > 0) continue;
    for (let i = descriptorBlocks; i < descriptorBlocks + reservedDescriptorBlocks; i++) {
      const offset = stage.claim(1 + i);
      backups.forEach((backup, at) => {
        stage.view.setUint32(offset + at * 4, backup * BLOCKS_PER_GROUP + 1 + i, true);
      });
    }
  }
  stage.flush();
}
