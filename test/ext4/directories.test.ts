import { mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hashName, hashStateOf } from '../../src/ext4/directory-hash.js';
import type { Ext4Directory, Ext4Node } from '../../src/ext4/index.js';
import { cpuMsSince } from '../support/timing.js';
import { CAN_MOUNT, Mounted } from './mounted.js';
import { build, debugfs, directory, EMPTY, expectClean, file, run, Scratch } from './support.js';

/** A directory with `count` children, named by `name`. */
function many(
  count: number,
  name: (i: number) => string,
  make: () => Ext4Node = () => file(EMPTY),
): Ext4Directory {
  const children = new Map<string, Ext4Node>();
  for (let i = 0; i < count; i++) children.set(name(i), make());
  return { ...directory(), children };
}

/** Names of exactly `bytes` bytes. */
const wide = (bytes: number) => (i: number) => `${i}-`.padEnd(bytes, '\xe9');

describe('a directory', () => {
  // 4084 bytes of a block hold entries, 24 of them . and ..; an entry of a 12-byte name takes 20.
  it.each([
    ['holds 203 entries of 20 bytes in one block', 203, 12, 1, false],
    ['gets an index with the 204th', 204, 12, 3, true],
    ['holds 15 entries of 264 bytes in one block', 15, 255, 1, false],
    ['gets an index with the 16th', 16, 255, 3, true],
  ])('%s', (_name, count, nameBytes, blocks, indexed) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, () => directory({ d: many(count, wide(nameBytes)) }));
    expectClean(image);
    const stat = debugfs(image, 'stat /d');
    expect(stat).toContain(`Size: ${blocks * 4096}`);
    expect(stat).toContain(`Flags: 0x${indexed ? '81000' : '80000'}`);
  });

  it('may be empty, and deep below others', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const root = directory();
    let bottom = root;
    for (let depth = 0; depth < 10_000; depth++) {
      const next = directory();
      bottom.children.set('d', next);
      bottom = next;
    }
    build(image, () => root);
    expectClean(image);
  });

  // A leaf is filled with 13 entries of 264 bytes, or 178 of 20; 507 leaves fit under the root.
  it.each([
    ['507 leaves under the root', 507 * 13, 255, 0, 1],
    ['508 leaves under one index block', 507 * 13 + 1, 255, 1, 2],
    ['511 leaves under two index blocks', 510 * 13 + 1, 255, 1, 3],
    ['200,000 entries', 200_000, 12, 1, 4],
    ['200,000 entries of 255 bytes', 200_000, 255, 1, 32],
  ])('of %s has them all in its index', (_name, count, nameBytes, levels, indexBlocks) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const startedAt = process.cpuUsage();
    build(image, () => directory({ d: many(count, wide(nameBytes)) }));
    expect(cpuMsSince(startedAt)).toBeLessThan(10_000);
    expectClean(image);
    const dump = debugfs(image, 'htree_dump /d');
    expect(dump).toContain(`Indirect levels: ${levels}`);
    expect(dump.match(/Number of entries \(count\)/g)).toHaveLength(indexBlocks);
  });

  it('counts up to 64,998 subdirectories, and no further', () => {
    using scratch = new Scratch();
    const [counted, uncounted] = [scratch.file('counted'), scratch.file('uncounted')];
    build(counted, () => directory({ d: many(64_998, wide(8), () => directory()) }));
    build(uncounted, () => directory({ d: many(64_999, wide(8), () => directory()) }));
    expectClean(counted);
    expectClean(uncounted);
    expect(debugfs(counted, 'stat /d')).toContain('Links: 65000 ');
    expect(debugfs(uncounted, 'stat /d')).toContain('Links: 1 ');
  });

  it('may have 70,000 subdirectories', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, () =>
      directory({
        d: many(
          70_000,
          (i) => `${i}`,
          () => directory({ f: file(EMPTY) }),
        ),
      }),
    );
    expectClean(image);
    expect(debugfs(image, 'stat /d')).toContain('Links: 1 ');
  });

  it('hashes names as e2fsprogs does', () => {
    const seed = '00112233-4455-6677-8899-aabbccddeeff';
    const state = hashStateOf(Buffer.from(seed.replaceAll('-', ''), 'hex'));
    const names = [1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 200, 255].map((length) =>
      'abcdefg'.repeat(40).slice(0, length),
    );
    for (const name of names) {
      const [, hash] =
        /Hash of .* is 0x([0-9a-f]+)/.exec(
          run('debugfs', ['-R', `dx_hash -h half_md4 -s ${seed} ${name}`]),
        ) ?? [];
      expect([name, hashName(state, name)]).toEqual([name, Number.parseInt(hash ?? '', 16)]);
    }
  });
});

describe.runIf(CAN_MOUNT)('the kernel, in a directory of 30,000 entries (needs root)', () => {
  it('finds all, adds, removes, and leaves it clean', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const name = (i: number): string => `${i}-\xe9`.padEnd(5 + (i % 60), 'x');
    build(image, () => directory({ d: many(30_000, name) }));
    {
      using mounted = new Mounted(image);
      const at = (text: string): Buffer => Buffer.from(`${mounted.path}/d/${text}`, 'latin1');
      const names = readdirSync(at(''), { encoding: 'buffer' }).map((found) => found.toString('latin1'));
      expect(names.sort()).toEqual(Array.from({ length: 30_000 }, (_, i) => name(i)).sort());
      for (let i = 0; i < 30_000; i++) statSync(at(name(i)));
      for (let i = 0; i < 3000; i++) writeFileSync(at(`new-${i}`), 'x');
      for (let i = 0; i < 30_000; i += 3) unlinkSync(at(name(i)));
      mkdirSync(at('sub'));
      expect(readdirSync(at(''))).toHaveLength(30_000 + 3000 - 10_000 + 1);
    }
    expectClean(image);
  });
});
