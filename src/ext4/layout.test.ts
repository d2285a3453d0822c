import { describe, expect, it } from 'vitest';
import {
  backupGroups,
  frontBlocks,
  geometryOf,
  groupBlocks,
  hasSuperblock,
  journalBlocksFor,
  MAX_BLOCK_COUNT,
} from './layout.js';

const GROUP = 32_768;
const GIB = 2 ** 18;

describe('copies of the superblock', () => {
  it('are in groups 0, 1 and powers of 3, 5 and 7', () => {
    const expected = [1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343, 625, 729];
    expect(backupGroups(730)).toEqual(expected);
    expect(backupGroups(729)).toEqual(expected.slice(0, -1));
    expect(backupGroups(1)).toEqual([]);
    for (let group = 1; group < 730; group++) expect(hasSuperblock(group)).toBe(expected.includes(group));
    expect(hasSuperblock(0)).toBe(true);
  });
});

describe('geometryOf', () => {
  it.each([
    // blocks, descriptor blocks, reserved, inodes a group
    ['1 GiB', GIB, 1, 127, 8192],
    ['8 GiB: one full descriptor block', 8 * GIB, 1, 127, 8192],
    ['8 GiB and a group', 8 * GIB + GROUP, 2, 126, 8192],
    ['16 GiB', 16 * GIB, 2, 126, 8192],
    ['24 GiB', 24 * GIB, 3, 253, 8192],
    ['128 GiB', 128 * GIB, 16, 1008, 8192],
    ['129 GiB', 129 * GIB, 17, 1007, 8192],
    ['8 TiB', MAX_BLOCK_COUNT, 1024, 0, 8192],
    ['1 MiB short of two groups', 2 * GROUP - 256, 1, 127, 8160],
  ])('%s', (_name, blockCount, descriptorBlocks, reservedDescriptorBlocks, inodesPerGroup) => {
    expect(geometryOf(blockCount, 0)).toMatchObject({
      blockCount,
      descriptorBlocks,
      reservedDescriptorBlocks,
      inodesPerGroup,
    });
  });

  it('drops a last group that gains less than 50 blocks', () => {
    // Front 129, two bitmaps, and the table: 4,160 inodes a group in 260 blocks.
    const cost = 129 + 2 + 260;
    expect(geometryOf(GROUP + cost + 50, 0)?.blockCount).toBe(GROUP + cost + 50);
    expect(geometryOf(GROUP + cost + 49, 0)?.blockCount).toBe(GROUP);
    expect(geometryOf(GROUP + 1, 0)?.blockCount).toBe(GROUP);
  });

  it('refuses what the first group or the inode tables cannot hold', () => {
    expect(geometryOf(0, 0)).toBeUndefined();
    expect(geometryOf(131, 0)).toBeUndefined();
    expect(geometryOf(GROUP, 32_768)?.inodesPerGroup).toBe(32_768);
    expect(geometryOf(GROUP, 32_769)).toBeUndefined();
  });

  it('knows the length of the last group and of fronts', () => {
    const geometry = geometryOf(2 * GROUP + 5000, 0);
    if (geometry === undefined) throw new Error('no geometry');
    expect([0, 1, 2].map((group) => groupBlocks(geometry, group))).toEqual([GROUP, GROUP, 5000]);
    expect([0, 1, 2, 3].map((group) => frontBlocks(geometry, group))).toEqual([129, 129, 0, 129]);
  });
});

describe('journalBlocksFor', () => {
  it.each([
    [1, 1024],
    [GROUP - 1, 1024],
    [GROUP, 4096],
    [GIB - 1, 4096],
    [GIB, 8192],
    [2 * GIB, 16_384],
    [16 * GIB, 32_768],
    [32 * GIB, 65_536],
    [64 * GIB, 131_072],
    [128 * GIB, 262_144],
    [MAX_BLOCK_COUNT, 262_144],
  ])('%d blocks: %d', (blockCount, journalBlocks) => {
    expect(journalBlocksFor(blockCount)).toBe(journalBlocks);
  });
});
