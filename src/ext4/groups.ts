/** Bitmaps and descriptors of all block groups. */
import { updateCrc32c } from '../bytes/index.js';
import { sumUint32 } from './checksum.js';
import { BLOCK_BYTES, BLOCKS_PER_GROUP, DESCRIPTOR_BYTES, GROUP_FLAG } from './format.js';
import type { FreeSpace } from './free-space.js';
import type { BlockStage } from './image-file.js';
import { frontBlocks, groupBlocks } from './layout.js';
import type { Plan } from './plan.js';

const CHECKSUM_OFFSET = 30;

export interface GroupContents {
  readonly plan: Plan;
  /** All free blocks. */
  readonly free: FreeSpace;
  /** Inodes are in use from 1 to here, without gaps. */
  readonly lastInode: number;
  /** By group: directories among its inodes. */
  readonly directories: Uint32Array;
  readonly seed: number;
}

export interface GroupSummary {
  /** All descriptors, padded to whole blocks. */
  readonly descriptors: Uint8Array;
  readonly freeBlockCount: number;
}

/** Walks over the free runs group by group. */
class FreeCursor {
  readonly #runs: Iterator<readonly [start: number, end: number]>;
  #run: readonly [start: number, end: number] | undefined;

  constructor(free: FreeSpace) {
    this.#runs = free.runs();
    this.#advance();
  }

  /** Calls `visit` for each free run within [start, end); asked in ascending order. */
  within(start: number, end: number, visit: (from: number, to: number) => void): void {
    while (this.#run !== undefined && this.#run[0] < end) {
      const [from, to] = this.#run;
      visit(Math.max(from, start), Math.min(to, end));
      if (to > end) return;
      this.#advance();
    }
  }

  #advance(): void {
    const next = this.#runs.next();
    this.#run = next.done === true ? undefined : next.value;
  }
}

/** Clears bits [from, to). */
function clearBits(bitmap: Uint8Array, offset: number, from: number, to: number): void {
  let bit = from;
  for (; bit < to && bit % 8 !== 0; bit++)
    bitmap[offset + (bit >> 3)] = (bitmap[offset + (bit >> 3)] ?? 0) & ~(1 << (bit & 7));
  const wholeEnd = to - (to % 8);
  if (bit < wholeEnd) {
    bitmap.fill(0, offset + bit / 8, offset + wholeEnd / 8);
    bit = wholeEnd;
  }
  for (; bit < to; bit++)
    bitmap[offset + (bit >> 3)] = (bitmap[offset + (bit >> 3)] ?? 0) & ~(1 << (bit & 7));
}

/**
 * Writes the bitmaps that are needed and makes the descriptors. A group in which nothing is used but the copies at
 * its start, and a group without inodes, are marked as not initialised and their bitmaps stay holes.
 */
export function writeGroups(stage: BlockStage, contents: GroupContents): GroupSummary {
  const { plan, lastInode, seed } = contents;
  const { geometry } = plan;
  const { groupCount, inodesPerGroup } = geometry;
  const descriptors = new Uint8Array(geometry.descriptorBlocks * BLOCK_BYTES);
  const view = new DataView(descriptors.buffer);
  const cursor = new FreeCursor(contents.free);
  let freeBlockCount = 0;

  for (let group = 0; group < groupCount; group++) {
    const offset = group * DESCRIPTOR_BYTES;
    const start = group * BLOCKS_PER_GROUP;
    const blockCount = groupBlocks(geometry, group);
    const usedInodes = Math.min(inodesPerGroup, Math.max(0, lastInode - group * inodesPerGroup));
    const freeRuns: number[] = [];
    let freeBlocks = 0;
    cursor.within(start, start + blockCount, (from, to) => {
      freeRuns.push(from - start, to - start);
      freeBlocks += to - from;
    });
    freeBlockCount += freeBlocks;

    let flags: number = GROUP_FLAG.inodeZeroed;
    if (usedInodes === 0) flags |= GROUP_FLAG.inodeUninit;
    else {
      const bitmap = stage.claim(plan.inodeBitmaps[group] ?? 0);
      stage.bytes.fill(0xff, bitmap, bitmap + BLOCK_BYTES);
      clearBits(stage.bytes, bitmap, usedInodes, inodesPerGroup);
      const checksum = updateCrc32c(seed, stage.bytes, bitmap, bitmap + inodesPerGroup / 8);
      view.setUint16(offset + 26, checksum & 0xffff, true);
      view.setUint16(offset + 58, checksum >>> 16, true);
    }
    const untouched = freeBlocks === blockCount - frontBlocks(geometry, group);
    // The last group's bitmap also says where the file system ends, so it always exists.
    if (untouched && usedInodes === 0 && group < groupCount - 1) flags |= GROUP_FLAG.blockUninit;
    else {
      const bitmap = stage.claim(plan.blockBitmaps[group] ?? 0);
      stage.bytes.fill(0xff, bitmap, bitmap + BLOCK_BYTES);
      for (let i = 0; i < freeRuns.length; i += 2) {
        clearBits(stage.bytes, bitmap, freeRuns[i] ?? 0, freeRuns[i + 1] ?? 0);
      }
      const checksum = updateCrc32c(seed, stage.bytes, bitmap, bitmap + BLOCK_BYTES);
      view.setUint16(offset + 24, checksum & 0xffff, true);
      view.setUint16(offset + 56, checksum >>> 16, true);
    }

    // No group has 2^16 blocks, inodes or directories, and no block number has more than 32 bits.
    view.setUint32(offset, plan.blockBitmaps[group] ?? 0, true);
    view.setUint32(offset + 4, plan.inodeBitmaps[group] ?? 0, true);
    view.setUint32(offset + 8, plan.inodeTables[group] ?? 0, true);
    view.setUint16(offset + 12, freeBlocks, true);
    view.setUint16(offset + 14, inodesPerGroup - usedInodes, true);
    view.setUint16(offset + 16, contents.directories[group] ?? 0, true);
    view.setUint16(offset + 18, flags, true);
    view.setUint16(offset + 28, inodesPerGroup - usedInodes, true);
    view.setUint16(offset + CHECKSUM_OFFSET, descriptorChecksum(descriptors, offset, group, seed), true);
  }
  stage.flush();
  return { descriptors, freeBlockCount };
}

function descriptorChecksum(descriptors: Uint8Array, offset: number, group: number, seed: number): number {
  // The checksum field is still zero, as the sum wants it.
  return updateCrc32c(sumUint32(seed, group), descriptors, offset, offset + DESCRIPTOR_BYTES) & 0xffff;
}
