/** Random trees with everything that a layer can say, for properties. */
import fc from 'fast-check';
import type { Ext4Directory, Ext4FileData, Ext4ImageWriter, Ext4Node } from '../../src/ext4/index.js';

/** A node before its body is stored: what {@link realise} makes into an {@link Ext4Node}. */
type Seed =
  | { readonly kind: 'file'; readonly body: Uint8Array; readonly holeBlocks: number }
  | { readonly kind: 'directory'; readonly children: ReadonlyArray<readonly [name: string, node: SeedNode]> }
  | { readonly kind: 'symlink'; readonly target: Uint8Array }
  | { readonly kind: 'character' | 'block'; readonly major: number; readonly minor: number }
  | { readonly kind: 'fifo' | 'socket' }
  /** One more name of an earlier node that is not a directory, if there is one. */
  | { readonly kind: 'link'; readonly which: number };

interface SeedNode {
  readonly seed: Seed;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly xattrs: ReadonlyArray<readonly [name: string, value: Uint8Array]>;
}

const id = fc.oneof(
  fc.constantFrom(0, 1000, 65_534, 65_536, 2 ** 31),
  fc.integer({ min: 0, max: 2 ** 32 - 2 }),
);
/** e2fsck takes 2310 to 2378 for 1901 to 1970 as some old kernels wrote them, and says so (see nodes.test.ts). */
const seconds = fc
  .oneof(
    fc.constantFrom(0, -1, -(2 ** 31), 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 34 - 2 ** 31 - 1),
    fc.integer({ min: -(2 ** 31), max: 2 ** 34 - 2 ** 31 - 1 }),
  )
  .filter((value) => value < 3 * 2 ** 32 - 2 ** 31 || value >= 3 * 2 ** 32);
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const name = fc
  .oneof(
    { weight: 8, arbitrary: fc.uint8Array({ min: 1, minLength: 1, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.uint8Array({ min: 1, minLength: 250, maxLength: 255 }) },
  )
  .map(latin1)
  .filter((text) => !text.includes('/') && text !== '.' && text !== '..');
const body = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc
    .tuple(fc.integer({ min: 1, max: 255 }), fc.nat(20_000))
    .map(([byte, length]) => new Uint8Array(length).fill(byte)),
);
const target = fc.oneof(
  fc.uint8Array({ min: 1, minLength: 1, maxLength: 70 }),
  fc.integer({ min: 55, max: 4095 }).map((length) => new Uint8Array(length).fill(0x61)),
);
/** trusted.* may be on every kind of node. */
const xattrs = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  {
    weight: 1,
    arbitrary: fc.uniqueArray(
      fc.tuple(
        fc.uint8Array({ min: 1, minLength: 1, maxLength: 8 }).map((bytes) => `trusted.${latin1(bytes)}`),
        fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.uint8Array({ minLength: 80, maxLength: 300 })),
      ),
      { maxLength: 8, selector: ([key]) => key },
    ),
  },
);

const { node: seedNode } = fc.letrec<{ node: SeedNode; seed: Seed }>((tie) => ({
  node: fc.record({
    seed: tie('seed'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: id,
    gid: id,
    seconds,
    nanoseconds: fc.oneof(fc.constantFrom(0, 999_999_999), fc.nat(999_999_999)),
    xattrs,
  }),
  seed: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'tree' },
    fc.record({ kind: fc.constant('file' as const), body, holeBlocks: fc.nat(3) }),
    fc.record({
      kind: fc.constant('directory' as const),
      children: fc.uniqueArray(fc.tuple(name, tie('node')), {
        maxLength: 12,
        selector: ([key]) => key,
        depthIdentifier: 'tree',
      }),
    }),
    fc.record({ kind: fc.constant('symlink' as const), target }),
    fc.record({
      kind: fc.constantFrom('character' as const, 'block' as const),
      major: fc.oneof(fc.constantFrom(0, 255, 256, 4095), fc.nat(4095)),
      minor: fc.oneof(fc.constantFrom(0, 255, 256, 2 ** 20 - 1), fc.nat(2 ** 20 - 1)),
    }),
    fc.record({ kind: fc.constantFrom('fifo' as const, 'socket' as const) }),
    fc.record({ kind: fc.constant('link' as const), which: fc.nat(20) }),
  ),
}));

/** Children of the root. */
export const treeSeed: fc.Arbitrary<ReadonlyArray<readonly [string, SeedNode]>> = fc.uniqueArray(
  fc.tuple(name, seedNode),
  { maxLength: 12, selector: ([key]) => key },
);

export interface RealTree {
  readonly root: Ext4Directory;
  readonly contents: ReadonlyMap<Ext4Node, Uint8Array>;
}

/** Stores the bodies and makes the tree. Children are added in the given order, or backwards. */
export function realise(
  writer: Ext4ImageWriter,
  children: ReadonlyArray<readonly [string, SeedNode]>,
  backwards = false,
): RealTree {
  const contents = new Map<Ext4Node, Uint8Array>();
  const linkable: Ext4Node[] = [];

  const store = (bytes: Uint8Array, holeBlocks: number): readonly [Ext4FileData, Uint8Array] => {
    writer.beginFile();
    writer.skip(holeBlocks * 4096);
    writer.write(bytes);
    return [writer.endFile(), Buffer.concat([Buffer.alloc(holeBlocks * 4096), bytes])];
  };
  const make = ({ seed, mode, uid, gid, seconds: s, nanoseconds, xattrs: pairs }: SeedNode): Ext4Node => {
    const mtime = { seconds: s, nanoseconds };
    const base = { mode, uid, gid, mtime, xattrs: pairs.length === 0 ? undefined : new Map(pairs) };
    switch (seed.kind) {
      case 'link': {
        const [data, bytes] = store(new Uint8Array([1]), 0);
        const known = linkable[seed.which % Math.max(1, linkable.length)];
        if (known !== undefined) {
          writer.discard(data);
          return known;
        }
        const node: Ext4Node = { kind: 'file', data, ...base };
        contents.set(node, bytes);
        return node;
      }
      case 'directory':
        return { kind: 'directory', children: adopt(seed.children), ...base };
      case 'file': {
        const [data, bytes] = store(seed.body, seed.holeBlocks);
        const node: Ext4Node = { kind: 'file', data, ...base };
        contents.set(node, bytes);
        linkable.push(node);
        return node;
      }
      default: {
        const node: Ext4Node = { ...seed, ...base };
        linkable.push(node);
        return node;
      }
    }
  };
  const adopt = (pairs: ReadonlyArray<readonly [string, SeedNode]>): Map<string, Ext4Node> => {
    const made = pairs.map(([key, child]): [string, Ext4Node] => [key, make(child)]);
    return new Map(backwards ? made.reverse() : made);
  };

  const mtime = { seconds: 1_600_000_000, nanoseconds: 1 };
  const base = { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: undefined };
  const root: Ext4Directory = { kind: 'directory', children: adopt(children), ...base };
  return { root, contents };
}
