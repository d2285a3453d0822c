import { describe, expect, it } from 'vitest';
import { encodeXattrs, finishXattrBlock } from './xattrs.js';

const path = (): string => '/f';

function encode(values: Record<string, Uint8Array | string>) {
  return encodeXattrs(
    new Map(Object.entries(values).map(([name, value]) => [name, Buffer.from(value)])),
    path,
  );
}

function hashOf(block: Uint8Array | undefined): number {
  return new DataView((block ?? new Uint8Array(16)).buffer).getUint32(12, true);
}

describe('encodeXattrs', () => {
  it('fills the inode as well as it can before it takes a block', () => {
    // 24, 44 and 64 bytes: the last two leave 88 - 44 and 88 - 64; the first with the third fill it.
    const values = { 'user.a': 'x'.repeat(4), 'user.b': 'y'.repeat(24), 'user.c': 'z'.repeat(44) };
    const { inInode, block } = encode(values);
    const text = Buffer.from(inInode ?? []).toString('latin1');
    expect([text.includes('xxxx'), text.includes('yyyy'), text.includes('zzzz')]).toEqual([
      true,
      false,
      true,
    ]);
    expect(Buffer.from(block ?? []).toString('latin1')).toContain('y'.repeat(24));
  });

  it('gives no inode part and no block for nothing', () => {
    expect(encode({})).toEqual({ inInode: undefined, block: undefined });
  });

  it('hashes blocks with the same content alike, and gives none to a block with an entry that has none', () => {
    const zeros = Buffer.alloc(400);
    expect(hashOf(encode({ 'user.a': zeros }).block)).not.toBe(0);
    expect(hashOf(encode({ 'user.a': zeros }).block)).toBe(hashOf(encode({ 'user.a': zeros }).block));
    // The name hashes to 0x61, and the last word of the value takes that away again.
    const hashless = Buffer.from(zeros);
    hashless[396] = 0x61;
    expect(hashOf(encode({ 'user.a': hashless, 'user.b': zeros }).block)).toBe(0);
  });
});

describe('finishXattrBlock', () => {
  it('sums the block with its place and its users', () => {
    const sums = [
      { seed: 1, blockNumber: 7, references: 1 },
      { seed: 1, blockNumber: 8, references: 1 },
      { seed: 1, blockNumber: 7, references: 2 },
      { seed: 2, blockNumber: 7, references: 1 },
    ].map((place) => {
      const block = encode({ 'user.a': Buffer.alloc(400) }).block ?? new Uint8Array(0);
      finishXattrBlock(block, place);
      const first = new DataView(block.buffer).getUint32(16, true);
      finishXattrBlock(block, place);
      expect(new DataView(block.buffer).getUint32(16, true)).toBe(first);
      return first;
    });
    expect(new Set(sums).size).toBe(4);
  });
});
