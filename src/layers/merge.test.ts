import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layerStack, mergeableStack } from '../../test/conformance/image-to-ext4/layer-arbitrary.js';
import { MERGE_CASES, REFUSAL_CASES } from '../../test/conformance/image-to-ext4/merge-cases.js';
import {
  describeInode,
  describeModel,
  type ModelInode,
  mergeByModel,
} from '../../test/conformance/image-to-ext4/model.js';
import { type MergedTars, mergeTars, namesOf } from '../../test/rootfs/support/merge-tars.js';
import {
  dir,
  type EntrySpec,
  file,
  hardlink,
  opaque,
  symlink,
  tar,
  whiteout,
} from '../../test/rootfs/support/tar-builder.js';
import type { Ext4Node } from '../ext4/index.js';

function merge(...layers: ReadonlyArray<readonly EntrySpec[]>): MergedTars {
  return mergeTars(layers.map((layer) => tar(...layer)));
}

/** `path kind body` of every name but the root; names of one inode share a number. */
function listing(merged: MergedTars): string[] {
  const numbers = new Map<Ext4Node, number>();
  return namesOf(merged.root)
    .slice(1)
    .map(([path, node]) => {
      if (node.kind === 'directory') return `${path}/`;
      if (node.kind === 'symlink') return `${path} -> ${Buffer.from(node.target).toString('latin1')}`;
      if (!numbers.has(node)) numbers.set(node, numbers.size);
      return `${path} = ${merged.bodies.get(node) ?? node.kind} #${numbers.get(node)}`;
    });
}

function describeProduct(merged: MergedTars): string[] {
  const numbers = new Map<Ext4Node, number>();
  return namesOf(merged.root).map(([path, node]) => {
    if (!numbers.has(node)) numbers.set(node, numbers.size);
    const isDevice = node.kind === 'character' || node.kind === 'block';
    const inode: ModelInode = {
      kind: node.kind as ModelInode['kind'],
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      mtime: node.mtime.seconds,
      body: merged.bodies.get(node) ?? '',
      target: node.kind === 'symlink' ? Buffer.from(node.target).toString('latin1') : '',
      device: isDevice ? `${node.major},${node.minor}` : '',
    };
    return describeInode(path, inode, node.kind === 'directory' ? 0 : (numbers.get(node) ?? 0));
  });
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return (error as { code?: string }).code ?? `not coded: ${String(error)}`;
  }
  return undefined;
}

describe('LayerMerger', () => {
  it.each(MERGE_CASES)('%s', (_name, layers, expected) => {
    expect(listing(merge(...layers))).toEqual(expected);
  });

  it.each(REFUSAL_CASES)('refuses %s', (_name, layers, code) => {
    expect(codeOf(() => merge(...layers))).toBe(code);
    // The same in an upper layer, where it is applied later.
    if (layers.length === 1) expect(codeOf(() => merge([], ...layers))).toBe(code);
  });

  it('gives implied directories 0755 0:0 at the epoch, and lets a later entry replace that', () => {
    const merged = merge([file('a/b/c', 'x'), dir('a', { mode: 0o700, uid: 5, mtime: 9 })]);
    const nodes = new Map(namesOf(merged.root));
    const implied = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 } };
    expect(nodes.get('')).toMatchObject(implied);
    expect(nodes.get('/a/b')).toMatchObject(implied);
    expect(nodes.get('/a')).toMatchObject({ mode: 0o700, uid: 5, mtime: { seconds: 9 } });
  });

  it('replaces every attribute of a directory by an upper one, and of the root', () => {
    const xattr = { 'SCHILY.xattr.user.x': '1' };
    const merged = merge(
      [dir('d', { uid: 1, mtime: 1, pax: xattr }), { path: './', type: '5', mode: 0o700 }],
      [dir('d', { mode: 0o711, mtime: 2 }), { path: './', type: '5', mode: 0o751, gid: 3 }],
      [file('d/new', 'x', { mtime: 50 })],
    );
    const nodes = new Map(namesOf(merged.root));
    expect(nodes.get('/d')).toMatchObject({ mode: 0o711, uid: 0, mtime: { seconds: 2 }, xattrs: undefined });
    expect(nodes.get('')).toMatchObject({ mode: 0o751, gid: 3 });
  });

  it('stores only what the result holds, and fetches what links keep', () => {
    const big = 'x'.repeat(10_000);
    const lower = [file('a', big), file('d/b', big), file('e/c', big), file('f', big), file('keep', 'k')];
    const upper = [file('a', '1'), whiteout('d'), opaque('e'), dir('f'), file('f/g', '2')];
    const merged = merge(lower, upper, [file('f/g', '3')]);
    expect(merged).toMatchObject({ storedBytes: '1'.length + '3'.length + 'k'.length, fetchedCount: 0 });
    expect(listing(merged)).toEqual(['/a = 1 #0', '/e/', '/f/', '/f/g = 3 #1', `/keep = k #2`]);

    expect(merge([file('g/h', big)], [file('g', '1')])).toMatchObject({ storedBytes: 1 });
    expect(merge([file('g/h', big)], [symlink('g', 'x')])).toMatchObject({ storedBytes: big.length });

    const middle = merge([file('a', big)], [hardlink('b', 'a')], [file('a', '3')]);
    expect(middle).toMatchObject({ storedBytes: big.length + 1, fetchedCount: 0 });

    const linked = merge(
      [file('a', big), hardlink('b', 'a'), file('c', big)],
      [file('a', '1'), file('c', '2')],
    );
    expect(linked).toMatchObject({ storedBytes: 2, fetchedCount: 1 });
    expect(linked.bodies.get(new Map(namesOf(linked.root)).get('/b') as Ext4Node)).toBe(big);
  });

  it('stops at the limits, naming the entry', () => {
    const limits = { maxContentBytes: 10, maxEntries: 3 };
    const merge1 = (...specs: EntrySpec[]): unknown => mergeTars([tar(...specs)], limits);
    expect(codeOf(() => merge1(file('a', '12345'), file('b', '12345')))).toBeUndefined();
    expect(() => merge1(file('a', '12345'), file('b', '123456'))).toThrow(
      expect.objectContaining({
        code: 'CONTENT_TOO_LARGE',
        details: expect.objectContaining({ path: 'b', sizeBytes: 11 }),
      }),
    );
    expect(codeOf(() => merge1(file('a'), file('b'), file('c')))).toBeUndefined();
    expect(codeOf(() => merge1(file('a'), file('b'), file('c'), file('d')))).toBe('ENTRIES_TOO_MANY');
    expect(codeOf(() => merge1(file('a/b/c')))).toBeUndefined();
    expect(codeOf(() => merge1(file('a/b/c/d')))).toBe('ENTRIES_TOO_MANY');
  });

  it('bounds what names and attributes take', () => {
    const value = 'v'.repeat(1_000_000);
    const specs = Array.from({ length: 140 }, (_, i) =>
      file(`f${i}`, '', { pax: { 'SCHILY.xattr.user.x': value } }),
    );
    expect(codeOf(() => merge(specs))).toBe('CONTENT_TOO_LARGE');
  });

  it('holds for paths of 10,000 levels', () => {
    const deep = 'd/'.repeat(10_000);
    const merged = merge([file(`${deep}f`, '1')], [file(`${deep}g`, '2')], [whiteout(`${deep}f`)]);
    expect(namesOf(merged.root)).toHaveLength(10_002);
    expect(namesOf(merge([file(`${deep}f`, '1')], [whiteout('d')]).root)).toHaveLength(1);
  });

  it('equals the model for random stacks of layers', () => {
    let fetchedCount = 0;
    fc.assert(
      fc.property(mergeableStack, (layers) => {
        const merged = merge(...layers);
        fetchedCount += merged.fetchedCount;
        expect(describeProduct(merged)).toEqual(describeModel(mergeByModel(layers)));
      }),
      { numRuns: 2000 },
    );
    expect(fetchedCount).toBeGreaterThan(0);
  });

  it('refuses what the model refuses', () => {
    fc.assert(
      fc.property(layerStack, (layers) => {
        expect(codeOf(() => merge(...layers))).toBe(codeOf(() => mergeByModel(layers)));
      }),
      { numRuns: 2000 },
    );
  });
});
