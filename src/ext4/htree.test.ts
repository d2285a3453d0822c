import { describe, expect, it } from 'vitest';
import { hashName, hashStateOf } from './directory-hash.js';
import { planHashTree } from './htree.js';

const STATE = hashStateOf(new Uint8Array(16).fill(7));
const path = (): string => '/d';

describe('planHashTree', () => {
  it('fills leaves in the order of the hashes', () => {
    const names = Array.from({ length: 1000 }, (_, i) => `name-${i}`);
    const tree = planHashTree(names, STATE, path);
    const hashes = Array.from(tree.order, (index) => hashName(STATE, names[index] ?? ''));
    expect(hashes).toEqual([...hashes].sort((a, b) => a - b));
    expect(new Set(tree.order).size).toBe(1000);
    expect(tree.leafStarts[0]).toBe(0);
    expect(tree.leafStarts.at(-1)).toBe(1000);
    expect(tree.leafHashes).toEqual(tree.leafStarts.slice(0, -1).map((start) => hashes[start]));
    expect(tree.nodeCount).toBe(0);
    expect(tree.blockCount).toBe(1 + tree.leafHashes.length);
  });

  it('marks a leaf that goes on with the hash of the leaf before', () => {
    // Equal names stand for names of equal hash, which are too rare to find.
    const tree = planHashTree(new Array(30).fill('n'.repeat(255)), STATE, path);
    const hash = hashName(STATE, 'n'.repeat(255));
    expect(tree.leafHashes).toEqual([hash, hash + 1, hash + 1]);
    expect(Array.from(tree.order)).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  it('has index blocks from the 508th leaf on', () => {
    const leaves = (count: number): string[] => new Array(count * 13).fill('n'.repeat(255));
    expect(planHashTree(leaves(507), STATE, path)).toMatchObject({ nodeCount: 0, blockCount: 508 });
    expect(planHashTree(leaves(508), STATE, path)).toMatchObject({ nodeCount: 1, blockCount: 510 });
    expect(planHashTree(leaves(510), STATE, path)).toMatchObject({ nodeCount: 1, blockCount: 512 });
    expect(planHashTree(leaves(511), STATE, path)).toMatchObject({ nodeCount: 2, blockCount: 514 });
  });

  it('refuses more than 507 index blocks of 510 leaves', () => {
    const entryCount = 507 * 510 * 13 + 1;
    const wide = new Array(entryCount).fill('n'.repeat(255));
    expect(() => planHashTree(wide, STATE, path)).toThrow(
      expect.objectContaining({ code: 'ENTRIES_TOO_MANY', details: { path: '/d', entryCount } }),
    );
  });

  it('refuses more than 2^22 entries', () => {
    expect(() => planHashTree(new Array(2 ** 22 + 1).fill('a'), STATE, path)).toThrow(
      expect.objectContaining({ code: 'ENTRIES_TOO_MANY' }),
    );
  });
});
