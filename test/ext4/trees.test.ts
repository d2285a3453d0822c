import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExt4Image, type Ext4Node } from '../../src/ext4/index.js';
import { CAN_MOUNT, listMounted, listTree, Mounted } from './mounted.js';
import { build, debugfs, directory, EMPTY, expectClean, file, OPTIONS, Scratch, symlink } from './support.js';
import { type RealTree, realise, treeSeed } from './tree-arbitrary.js';

const RUNS = Number(process.env.HEARTH_PROPERTY_RUNS ?? 60);

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

describe('any tree', { timeout: 3_600_000 }, () => {
  it('is clean', () => {
    fc.assert(
      fc.property(treeSeed, (seed) => {
        using scratch = new Scratch();
        build(scratch.file('image'), (writer) => realise(writer, seed).root);
        expectClean(scratch.file('image'));
      }),
      { numRuns: RUNS },
    );
  });

  it.runIf(CAN_MOUNT)('is what the kernel sees (needs root)', () => {
    fc.assert(
      fc.property(treeSeed, (seed) => {
        using scratch = new Scratch();
        const image = scratch.file('image');
        let tree: RealTree | undefined;
        build(image, (writer) => {
          tree = realise(writer, seed);
          return tree.root;
        });
        if (tree === undefined) throw new Error('no tree');
        {
          using mounted = new Mounted(image, 'ro');
          expect(listMounted(mounted.path)).toEqual(listTree(tree.root, tree.contents));
        }
        expectClean(image);
      }),
      { numRuns: RUNS },
    );
  });

  it('gives the same bytes every time, whatever the order of its maps', () => {
    fc.assert(
      fc.property(treeSeed, (seed) => {
        using scratch = new Scratch();
        const [first, again] = [scratch.file('first'), scratch.file('again')];
        const sizeBytes = 64 * 2 ** 20;
        build(first, (writer) => realise(writer, seed).root, { sizeBytes });
        build(again, (writer) => withMapsReversed(realise(writer, seed).root), { sizeBytes });
        expect(sha256Of(again)).toBe(sha256Of(first));
      }),
      { numRuns: RUNS / 4 },
    );
  });
});

function withMapsReversed<T extends Ext4Node>(node: T): T {
  if (node.kind !== 'directory') return node;
  const children = [...node.children].reverse();
  node.children = new Map(children.map(([name, child]) => [name, withMapsReversed(child)]));
  return node;
}

describe('the bytes of an image', () => {
  const name = (i: number): string => `name-${i}`;
  const bytesFor = (change: (scratch: Scratch) => void): string => {
    using scratch = new Scratch();
    change(scratch);
    return sha256Of(scratch.file('image'));
  };
  const tree = () =>
    directory({
      big: directory(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [name(i), file(EMPTY)]))),
      link: symlink('x'.repeat(80)),
    });

  it('depend on nothing but what the caller gives', () => {
    const options = { sizeBytes: 64 * 2 ** 20 };
    const first = bytesFor((scratch) => void build(scratch.file('image'), tree, options));
    expect(bytesFor((scratch) => void build(scratch.file('image'), tree, options))).toBe(first);
    for (const other of [
      { uuid: new Uint8Array(16).fill(1) },
      { hashSeed: new Uint8Array(16).fill(1) },
      { createdAt: { seconds: 1, nanoseconds: 0 } },
      { label: 'x' },
    ]) {
      expect(
        bytesFor((scratch) => void build(scratch.file('image'), tree, { ...options, ...other })),
      ).not.toBe(first);
    }
  });

  it('do not depend on how bodies are cut', () => {
    const body = Buffer.alloc(9_999_999, 'cut me up ');
    const cut = (chunkBytes: number): string =>
      bytesFor((scratch) => {
        using writer = createExt4Image(scratch.file('image'));
        writer.beginFile();
        for (let at = 0; at < body.byteLength; at += chunkBytes)
          writer.write(body.subarray(at, at + chunkBytes));
        writer.finish(directory({ f: file(writer.endFile()) }), { ...OPTIONS, sizeBytes: 64 * 2 ** 20 });
      });
    const whole = cut(body.byteLength);
    for (const chunkBytes of [512, 4095, 4096, 65_536, 5_000_000]) expect(cut(chunkBytes)).toBe(whole);
  });

  it('number inodes in the order of the names', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, () => directory({ b: directory({ z: file(EMPTY), y: file(EMPTY) }), a: file(EMPTY) }));
    expect(debugfs(image, 'ls -p /')).toMatch(/\/12\/[^\n]*\/a\/.*\n\/13\/[^\n]*\/b\//);
    expect(debugfs(image, 'ls -p /b')).toMatch(/\/14\/[^\n]*\/y\/.*\n\/15\/[^\n]*\/z\//);
  });
});
