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

function* pieces(extents: Extents): Generator<readonly [fileBlock: number, block: number, count: number]> {
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

/** Sum of the extents' lengths, in blocks. */
export function extentBlocks(extents: Extents): number {
  let sum = 0;
  for (let i = 2; i < extents.length; i += 3) sum += extents[i] ?? 0;
  return sum;
}

/** Blocks that the tree of these extents needs beside the inode. */
export function extentTreeBlocks(extents: Extents): number {
  if (extents.length === 3 && (extents[2] ?? 0) <= MAX_EXTENT_BLOCKS) return 0;
  let records = 0;
  for (let i = 2; i < extents.length; i += 3) records += Math.ceil((extents[i] ?? 0) / MAX_EXTENT_BLOCKS);
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
  /** One level's records: first file block, image block, and for leaves the count. */
  let level = [...pieces(extents)];
  let depth = 0;
  const writeRecord = (view: DataView, offset: number, record: readonly [number, number, number]): void => {
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

  while (level.length > ROOT_RECORDS) {
    const above: [number, number, number][] = [];
    for (let first = 0; first < level.length; first += BLOCK_RECORDS) {
      const records = level.slice(first, first + BLOCK_RECORDS);
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
    depth += 1;
  }
  writeHeader(target.view, target.offset, { records: level.length, max: ROOT_RECORDS, depth });
  level.forEach((record, i) => {
    writeRecord(target.view, target.offset + HEADER_BYTES + i * RECORD_BYTES, record);
  });
}
