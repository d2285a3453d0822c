/** Which of the blocks that were filled with file data a tree really uses. */
import { HearthError } from '../errors/index.js';
import { KEPT_FRONT_BLOCKS } from './file-data.js';
import { BLOCKS_PER_GROUP, MAX_FILE_BYTES } from './format.js';
import type { Runs } from './free-space.js';
import { backupGroups } from './layout.js';
import type { NumberedTree } from './tree.js';

export interface DataUse {
  readonly contentBlocks: number;
  /** Runs of data blocks that no file uses, ascending. */
  readonly unused: Runs;
}

/**
 * Collects the extents of all files.
 *
 * @throws {HearthError} `FILE_TOO_LARGE`; `INTERNAL` when two files claim one block or a file claims a block that
 *   was never written as data.
 */
export function dataUse(tree: NumberedTree, dataEndBlock: number): DataUse {
  let extentCount = 0;
  for (let inode = 0; inode <= tree.lastInode; inode++) {
    const node = tree.nodes[inode];
    if (node?.kind !== 'file') continue;
    const { sizeBytes, extents } = node.data;
    extentCount += extents.length / 3;
    if (sizeBytes > MAX_FILE_BYTES) {
      const path = tree.pathOf(inode);
      throw new HearthError('FILE_TOO_LARGE', `${path} has ${sizeBytes} bytes, ext4 holds at most 16 TiB`, {
        hint: 'Leave that file out of the image and mount it instead.',
        details: { path, sizeBytes, maximumBytes: MAX_FILE_BYTES },
      });
    }
  }
  const starts = new Uint32Array(extentCount);
  const counts = new Uint32Array(extentCount);
  let filled = 0;
  for (const node of tree.nodes) {
    if (node?.kind !== 'file') continue;
    const { extents } = node.data;
    for (let i = 0; i < extents.length; i += 3, filled++) {
      starts[filled] = extents[i + 1] ?? 0;
      counts[filled] = extents[i + 2] ?? 0;
    }
  }
  const order = starts.map((_, i) => i).sort((a, b) => (starts[a] ?? 0) - (starts[b] ?? 0));

  const unused: Runs = [];
  let contentBlocks = 0;
  let next = 0;
  for (const [start, end] of dataRegions(dataEndBlock)) {
    let position = start;
    for (; next < order.length; next++) {
      const index = order[next] ?? 0;
      const first = starts[index] ?? 0;
      const count = counts[index] ?? 0;
      if (first >= end) break;
      if (first < position || first + count > end) throw misplaced(first, count);
      if (first > position) unused.push(position, first - position);
      position = first + count;
      contentBlocks += count;
    }
    if (position < end) unused.push(position, end - position);
  }
  if (next < order.length) throw misplaced(starts[order[next] ?? 0] ?? 0, counts[order[next] ?? 0] ?? 0);
  return { contentBlocks, unused };
}

/** The runs between the fronts that data keeps free. */
function* dataRegions(dataEndBlock: number): Generator<readonly [start: number, end: number]> {
  const groups = backupGroups(Math.ceil(dataEndBlock / BLOCKS_PER_GROUP));
  let start = KEPT_FRONT_BLOCKS;
  for (const group of groups) {
    yield [start, group * BLOCKS_PER_GROUP];
    start = group * BLOCKS_PER_GROUP + KEPT_FRONT_BLOCKS;
  }
  if (start < dataEndBlock) yield [start, dataEndBlock];
}

function misplaced(block: number, blockCount: number): HearthError {
  return new HearthError('INTERNAL', `${blockCount} blocks at ${block} belong to two files or to none`, {
    details: { block, blockCount },
  });
}
