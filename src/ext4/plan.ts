/** Which block holds what: the places of all metadata for a given size, and the least size that has room. */
import { HearthError } from '../errors/index.js';
import { KEPT_FRONT_BLOCKS } from './file-data.js';
import { BLOCK_BYTES, BLOCKS_PER_GROUP, GROUPS_PER_FLEX } from './format.js';
import { FreeSpace, type Runs } from './free-space.js';
import {
  backupGroups,
  frontBlocks,
  type Geometry,
  geometryOf,
  journalBlocksFor,
  MAX_BLOCK_COUNT,
  MIN_JOURNAL_BLOCKS,
} from './layout.js';

const DEFAULT_BYTES = 2 ** 30;
const DEFAULT_GROWTH = 1.25;
const MIN_SPARE_INODES = 64;
const SPARE_INODE_SHARE = 1 / 8;

/** What a tree and its data ask of the image. */
export interface Demand {
  /** The block after the last one that has file data. */
  readonly dataEndBlock: number;
  /** Blocks of files in use. */
  readonly contentBlocks: number;
  /** Blocks of directories, symlinks, xattrs, extent trees and of the resize inode. */
  readonly treeBlocks: number;
  readonly lastInode: number;
}

export interface Plan {
  readonly geometry: Geometry;
  /** By group: block number of the bitmap, or first block of the table. */
  readonly blockBitmaps: Uint32Array;
  readonly inodeBitmaps: Uint32Array;
  readonly inodeTables: Uint32Array;
  /** At least {@link Demand.treeBlocks} blocks. */
  readonly tree: Runs;
  readonly journal: Runs;
  /** What is left and was never written. */
  readonly free: FreeSpace;
}

/** Blocks that were never written and belong to nothing yet. */
function untouchedSpace(geometry: Geometry, dataEndBlock: number): FreeSpace {
  const free = new FreeSpace();
  let position = dataEndBlock;
  for (const group of [0, ...backupGroups(geometry.groupCount)]) {
    const start = group * BLOCKS_PER_GROUP;
    const frontEnd = start + frontBlocks(geometry, group);
    if (start < dataEndBlock) {
      // Data kept more distance than this size needs.
      free.append(frontEnd, start + KEPT_FRONT_BLOCKS);
      continue;
    }
    free.append(position, start);
    position = frontEnd;
  }
  free.append(position, geometry.blockCount);
  return free;
}

function takeJournal(free: FreeSpace, blockCount: number): Runs | undefined {
  for (let blocks = journalBlocksFor(blockCount); blocks >= MIN_JOURNAL_BLOCKS; blocks /= 2) {
    const start = free.takeRun(blocks);
    if (start !== undefined) return [start, blocks];
    const runs = free.takeBlocks(blocks);
    if (runs !== undefined) return runs;
  }
  return undefined;
}

/**
 * Places everything in an image of `blockCount` blocks: bitmaps and inode tables at the start of their flexible
 * group as far as there is room, then the tree's blocks, then the journal.
 *
 * @returns undefined when something does not fit.
 */
function planImage(blockCount: number, demand: Demand): Plan | undefined {
  const spareInodes = Math.max(MIN_SPARE_INODES, Math.ceil(demand.lastInode * SPARE_INODE_SHARE));
  const geometry = geometryOf(blockCount, demand.lastInode + spareInodes);
  if (geometry === undefined || geometry.blockCount < demand.dataEndBlock) return undefined;
  const { groupCount, inodeTableBlocks } = geometry;
  const free = untouchedSpace(geometry, demand.dataEndBlock);
  const blockBitmaps = new Uint32Array(groupCount);
  const inodeBitmaps = new Uint32Array(groupCount);
  const inodeTables = new Uint32Array(groupCount);

  for (let first = 0; first < groupCount; first += GROUPS_PER_FLEX) {
    const count = Math.min(GROUPS_PER_FLEX, groupCount - first);
    const from = first * BLOCKS_PER_GROUP;
    const bitmaps = free.takeRun(2 * count, from);
    if (bitmaps === undefined) return undefined;
    for (let i = 0; i < count; i++) {
      const table = free.takeRun(inodeTableBlocks, from);
      if (table === undefined) return undefined;
      blockBitmaps[first + i] = bitmaps + i;
      inodeBitmaps[first + i] = bitmaps + count + i;
      inodeTables[first + i] = table;
    }
  }

  const tree = free.takeBlocks(demand.treeBlocks);
  if (tree === undefined) return undefined;
  // A directory that crosses from one run to the next may need a block for its extents; so may the journal.
  const spare = free.takeBlocks(tree.length / 2 + 1);
  if (spare === undefined) return undefined;
  const journal = takeJournal(free, geometry.blockCount);
  if (journal === undefined) return undefined;
  return { geometry, blockBitmaps, inodeBitmaps, inodeTables, tree: [...tree, ...spare], journal, free };
}

/** The least number of blocks for which {@link planImage} finds a plan. */
function leastBlockCount(demand: Demand): number {
  let failing = 0;
  let fitting = Math.max(demand.dataEndBlock, MIN_JOURNAL_BLOCKS);
  while (planImage(fitting, demand) === undefined) {
    failing = fitting;
    if (fitting === MAX_BLOCK_COUNT) throw tooLargeImage();
    fitting = Math.min(2 * fitting, MAX_BLOCK_COUNT);
  }
  while (fitting - failing > 1) {
    const middle = Math.floor((fitting + failing) / 2);
    if (planImage(middle, demand) === undefined) failing = middle;
    else fitting = middle;
  }
  return fitting;
}

/**
 * Plans an image of the given size, or of the default one.
 *
 * @param sizeBytes Rounded down to whole blocks.
 * @throws {HearthError} `SIZE_INVALID`, `ROOTFS_TOO_SMALL`, `CONTENT_TOO_LARGE`.
 */
export function planForSize(
  sizeBytes: number | undefined,
  demand: Demand,
): { readonly plan: Plan; readonly sizeBytes: number } {
  if (sizeBytes !== undefined) {
    if (!(sizeBytes >= 0 && sizeBytes <= MAX_BLOCK_COUNT * BLOCK_BYTES)) {
      throw new HearthError('SIZE_INVALID', `a root file system of ${sizeBytes} bytes cannot be built`, {
        hint: 'Ask for at most 8T; it can grow later.',
        details: { sizeBytes, maximumBytes: MAX_BLOCK_COUNT * BLOCK_BYTES },
      });
    }
    const blockCount = Math.floor(sizeBytes / BLOCK_BYTES);
    const plan = planImage(blockCount, demand);
    if (plan !== undefined) return { plan, sizeBytes: blockCount * BLOCK_BYTES };
    const minimumBytes = leastBlockCount(demand) * BLOCK_BYTES;
    throw new HearthError(
      'ROOTFS_TOO_SMALL',
      `the image does not fit into ${sizeBytes} bytes; it needs at least ${minimumBytes}`,
      {
        hint: `Ask for a larger file system, for example --size ${Math.ceil((minimumBytes * DEFAULT_GROWTH) / 2 ** 20)}M.`,
        details: { sizeBytes, minimumBytes },
      },
    );
  }
  const contentBytes = (demand.contentBlocks + demand.treeBlocks) * BLOCK_BYTES;
  let blockCount = Math.ceil(Math.max(contentBytes * DEFAULT_GROWTH, DEFAULT_BYTES) / BLOCK_BYTES);
  let plan = planImage(Math.min(blockCount, MAX_BLOCK_COUNT), demand);
  if (plan === undefined) {
    blockCount = Math.min(Math.ceil(leastBlockCount(demand) * DEFAULT_GROWTH), MAX_BLOCK_COUNT);
    plan = planImage(blockCount, demand);
  }
  if (plan === undefined) throw tooLargeImage();
  return { plan, sizeBytes: blockCount * BLOCK_BYTES };
}

function tooLargeImage(): HearthError {
  return new HearthError('CONTENT_TOO_LARGE', 'the files and directories need more than 8 TiB', {
    hint: 'Leave large files out of the image and mount them instead.',
    details: { maximumBytes: MAX_BLOCK_COUNT * BLOCK_BYTES },
  });
}
