import { describe, expect, it } from 'vitest';
import { extentBlocks, extentTreeBlocks, writeExtentTree } from './extents.js';
import type { BlockStage } from './image-file.js';

/** A stage that keeps every block it was asked for. */
function memoryStage(blockCount: number): { stage: BlockStage; view: DataView } {
  const bytes = new Uint8Array(blockCount * 4096);
  const view = new DataView(bytes.buffer);
  const stage = { bytes, view, claim: (block: number) => block * 4096 };
  return { stage: stage as unknown as BlockStage, view };
}

/** Reads a tree back: extents in order, and the depth of the root. */
function readTree(root: DataView, blocks: DataView): { extents: number[]; depth: number } {
  const extents: number[] = [];
  const visit = (view: DataView, at: number, depth: number | undefined, from: number): void => {
    expect(view.getUint16(at, true)).toBe(0xf30a);
    const records = view.getUint16(at + 2, true);
    expect(records).toBeLessThanOrEqual(view.getUint16(at + 4, true));
    const ownDepth = view.getUint16(at + 6, true);
    if (depth !== undefined) expect(ownDepth).toBe(depth);
    for (let i = 0; i < records; i++) {
      const record = at + 12 + i * 12;
      const fileBlock = view.getUint32(record, true);
      if (i === 0 && depth !== undefined) expect(fileBlock).toBe(from);
      if (ownDepth === 0) {
        const block = view.getUint32(record + 8, true) + view.getUint16(record + 6, true) * 2 ** 32;
        extents.push(fileBlock, block, view.getUint16(record + 4, true));
      } else {
        visit(blocks, view.getUint32(record + 4, true) * 4096, ownDepth - 1, fileBlock);
      }
    }
  };
  visit(root, 0, undefined, 0);
  return { extents, depth: root.getUint16(6, true) };
}

function scattered(count: number): number[] {
  return Array.from({ length: count }, (_, i) => [2 * i, 1_000_000 + 3 * i, 1]).flat();
}

describe('extent trees', () => {
  it.each([
    [0, 0, 0],
    [1, 0, 0],
    [4, 0, 0],
    [5, 1, 1],
    [340, 1, 1],
    [341, 1, 2],
    [1360, 1, 4],
    [1361, 2, 6],
    [462_400, 2, 1364],
    [462_401, 3, 1361 + 5 + 1],
  ])('%d extents: depth %d, %d blocks', (count, depth, blocks) => {
    const extents = scattered(count);
    expect(extentTreeBlocks(extents)).toBe(blocks);
    const { stage, view } = memoryStage(blocks);
    const root = new DataView(new ArrayBuffer(60));
    let next = 0;
    const nextBlock = (): number => next++;
    writeExtentTree(extents, { view: root, offset: 0, stage, nextBlock, seed: 1 });
    expect(next).toBe(blocks);
    const read = readTree(root, view);
    expect(read.depth).toBe(depth);
    expect(read.extents.length).toBe(extents.length);
    expect(
      Buffer.from(Uint32Array.from(read.extents).buffer).equals(
        Buffer.from(Uint32Array.from(extents).buffer),
      ),
    ).toBe(true);
  });

  it('cuts runs of more than 32,768 blocks', () => {
    const root = new DataView(new ArrayBuffer(60));
    const { stage, view } = memoryStage(1);
    const target = { view: root, offset: 0, stage, nextBlock: () => 0, seed: 1 };
    expect(extentTreeBlocks([0, 50, 32_768])).toBe(0);
    writeExtentTree([3, 50, 32_769], target);
    expect(readTree(root, view).extents).toEqual([3, 50, 32_768, 32_771, 32_818, 1]);
    expect(extentTreeBlocks([0, 50, 4 * 32_768])).toBe(0);
    expect(extentTreeBlocks([0, 50, 4 * 32_768 + 1])).toBe(1);
    writeExtentTree([0, 2 ** 33, 2], target);
    expect(readTree(root, view).extents).toEqual([0, 2 ** 33, 2]);
    expect(extentBlocks([0, 50, 7, 9, 70, 5])).toBe(12);
  });
});
