/**
 * Extent trees: which image blocks hold which blocks of a file.
 * Source: Linux 6.12, Documentation/filesystems/ext4/ifork.rst, "Extent Tree".
 */
import { updateCrc32c } from '../bytes/index.js';
import { BLOCK_BYTES } from './format.js';
import type { BlockStage } from './image-file.js';

const MAGIC = 0xf30a;
const HEADER_BYTES = 12;
const RECORD_BYTES = 12;
const ROOT_RECORDS = 4;
const BLOCK_RECORDS = Math.floor((BLOCK_BYTES - HEADER_BYTES) / RECORD_BYTES);
const CHECKSUM_OFFSET = HEADER_BYTES + BLOCK_RECORDS * RECORD_BYTES;
/** Longer counts mean "allocated but not written". */
const MAX_EXTENT_BLOCKS = 32_768;

/** Flat triples: first file block, first image block, block count. */
export type Extents = readonly number[];

/** First file block, image block, and for leaves the block count. */
type TreeRecord = readonly [fileBlock: number, block: number, count: number];

function* pieces(extents: Extents): Generator<TreeRecord> {
  for (let i = 0; i < extents.length; i += 3) {
    const count = extents[i + 2] ?? 0;
    for (let done = 0; done < count; done += MAX_EXTENT_BLOCKS) {
      yield [
        (extents[i] ?? 0) + done,
        (extents[i + 1] ?? 0) + done,
        Math.min(MAX_EXTENT_BLOCKS, count - done),
      ];
    }
  }
}

function pieceCount(extents: Extents): number {
  let sum = 0;
  for (let i = 2; i < extents.length; i += 3) sum += Math.ceil((extents[i] ?? 0) / MAX_EXTENT_BLOCKS);
  return sum;
}

function* batches(records: Iterable<TreeRecord>): Generator<readonly TreeRecord[]> {
  let batch: TreeRecord[] = [];
  for (const record of records) {
    batch.push(record);
    if (batch.length < BLOCK_RECORDS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Sum of the extents' lengths, in blocks. */
export function extentBlocks(extents: Extents): number {
  let sum = 0;
  for (let i = 2; i < extents.length; i += 3) sum += extents[i] ?? 0;
  return sum;
}

/** Blocks that the tree of these extents needs beside the inode. */
export function extentTreeBlocks(extents: Extents): number {
  let records = pieceCount(extents);
  let blocks = 0;
  while (records > ROOT_RECORDS) {
    records = Math.ceil(records / BLOCK_RECORDS);
    blocks += records;
  }
  return blocks;
}

function writeHeader(
  view: DataView,
  offset: number,
  counts: { records: number; max: number; depth: number },
): void {
  view.setUint16(offset, MAGIC, true);
  view.setUint16(offset + 2, counts.records, true);
  view.setUint16(offset + 4, counts.max, true);
  view.setUint16(offset + 6, counts.depth, true);
}

export interface ExtentTreeTarget {
  /** The inode and where its 60 bytes of block map start, zeroed. */
  readonly view: DataView;
  readonly offset: number;
  /** For the tree's own blocks. */
  readonly stage: BlockStage;
  readonly nextBlock: () => number;
  readonly seed: number;
}

/** Writes a tree of any depth: root in the inode, the rest in {@link extentTreeBlocks} blocks, leaves first. */
export function writeExtentTree(extents: Extents, target: ExtentTreeTarget): void {
  // One level at a time, the lowest one never as a whole in memory.
  let level: Iterable<TreeRecord> = pieces(extents);
  let recordCount = pieceCount(extents);
  let depth = 0;
  const writeRecord = (view: DataView, offset: number, record: TreeRecord): void => {
    const [fileBlock, block, count] = record;
    view.setUint32(offset, fileBlock, true);
    const high = Math.floor(block / 2 ** 32);
    if (depth === 0) {
      view.setUint16(offset + 4, count, true);
      view.setUint16(offset + 6, high, true);
      view.setUint32(offset + 8, block % 2 ** 32, true);
    } else {
      view.setUint32(offset + 4, block % 2 ** 32, true);
      view.setUint16(offset + 8, high, true);
    }
  };

  while (recordCount > ROOT_RECORDS) {
    const above: TreeRecord[] = [];
    for (const records of batches(level)) {
      const block = target.nextBlock();
      const start = target.stage.claim(block);
      const { view, bytes } = target.stage;
      writeHeader(view, start, { records: records.length, max: BLOCK_RECORDS, depth });
      records.forEach((record, i) => {
        writeRecord(view, start + HEADER_BYTES + i * RECORD_BYTES, record);
      });
      const checksum = updateCrc32c(target.seed, bytes, start, start + CHECKSUM_OFFSET);
      view.setUint32(start + CHECKSUM_OFFSET, checksum, true);
      above.push([records[0]?.[0] ?? 0, block, 0]);
    }
    level = above;
    recordCount = above.length;
    depth += 1;
  }
  writeHeader(target.view, target.offset, { records: recordCount, max: ROOT_RECORDS, depth });
  [...level].forEach((record, i) => {
    writeRecord(target.view, target.offset + HEADER_BYTES + i * RECORD_BYTES, record);
  });
}
