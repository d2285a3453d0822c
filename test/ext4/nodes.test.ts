import { describe, expect, it } from 'vitest';
import type { Ext4Directory, Ext4Node, Timestamp } from '../../src/ext4/index.js';
import { CAN_MOUNT, listMounted, listTree, Mounted } from './mounted.js';
import {
  build,
  debugfs,
  device,
  directory,
  EMPTY,
  expectClean,
  file,
  run,
  Scratch,
  special,
  symlink,
} from './support.js';

const at = (seconds: number, nanoseconds = 0): { mtime: Timestamp } => ({ mtime: { seconds, nanoseconds } });
const bytes = (length: number): Buffer => Buffer.alloc(length, 'abcdefg');

/** Everything that one inode can be, at its edges. */
const CASES: Record<string, () => Ext4Node> = {
  'symlink of 1 byte': () => symlink('x'),
  'symlink of 59 bytes': () => symlink(bytes(59)),
  'symlink of 60 bytes': () => symlink(bytes(60)),
  'symlink of 4095 bytes': () => symlink(bytes(4095)),
  'symlink to bytes that are not UTF-8': () => symlink(Buffer.from([0xff, 0xfe, 0x80, 0x0a])),
  'character device 0:0': () => device('character', 0, 0),
  'character device 1:3': () => device('character', 1, 3),
  'block device 255:255': () => device('block', 255, 255),
  'block device 255:256': () => device('block', 255, 256),
  'block device 256:0': () => device('block', 256, 0),
  'character device 4095:1048575': () => device('character', 4095, 2 ** 20 - 1),
  fifo: () => special('fifo', { mode: 0o644 }),
  socket: () => special('socket', { mode: 0o777 }),
  'empty file': () => file(EMPTY),
  'no permissions': () => file(EMPTY, { mode: 0 }),
  'setuid, setgid, sticky': () => file(EMPTY, { mode: 0o7755 }),
  'sticky directory': () => directory({}, { mode: 0o1777 }),
  'setgid directory': () => directory({ f: file(EMPTY) }, { mode: 0o2775 }),
  'uid 65535': () => file(EMPTY, { uid: 65_535, gid: 65_535 }),
  'uid 65536': () => file(EMPTY, { uid: 65_536, gid: 65_537 }),
  'uid 2^31': () => file(EMPTY, { uid: 2 ** 31, gid: 2 ** 31 - 1 }),
  'uid 2^32-2': () => file(EMPTY, { uid: 2 ** 32 - 2, gid: 2 ** 32 - 2 }),
  'time 1901': () => file(EMPTY, at(-(2 ** 31), 1)),
  'time 1969': () => file(EMPTY, at(-1, 999_999_999)),
  'time 1970': () => file(EMPTY, at(0, 0)),
  'time 2038': () => file(EMPTY, at(2 ** 31 - 1, 999_999_999)),
  'time 2038 + 1 s': () => file(EMPTY, at(2 ** 31, 1)),
  'time 2106': () => symlink('x', at(2 ** 32 - 1, 5)),
  'time 2106 + 1 s': () => directory({}, at(2 ** 32, 5)),
  'time 2446': () => special('fifo', at(2 ** 34 - 2 ** 31 - 1, 999_999_999)),
  ['n'.repeat(255)]: () => file(EMPTY),
  ['\xff'.repeat(255)]: () => directory(),
  '\x01\n\t\x80\xfe\\"*': () => file(EMPTY),
  ' ': () => file(EMPTY),
  '...': () => file(EMPTY),
};

function treeOfCases(): Ext4Directory {
  return directory(Object.fromEntries(Object.entries(CASES).map(([name, make]) => [name, make()])), {
    mode: 0o750,
    uid: 70_000,
  });
}

describe('every kind of inode at its edges', () => {
  it('is clean', () => {
    using scratch = new Scratch();
    build(scratch.file('image'), treeOfCases);
    expectClean(scratch.file('image'));
  });

  it.runIf(CAN_MOUNT)('is what the kernel sees (needs root)', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, treeOfCases);
    {
      using mounted = new Mounted(image);
      expect(listMounted(mounted.path)).toEqual(listTree(treeOfCases(), new Map()));
    }
    expectClean(image);
  });

  it('is what debugfs sees', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, () =>
      directory({
        old: device('block', 8, 1),
        new: device('character', 256, 257),
        top: file(EMPTY, { uid: 2 ** 32 - 1, gid: 2 ** 32 - 1, mode: 0o6755 }),
        late: file(EMPTY, at(2 ** 34 - 2 ** 31 - 1, 999_999_999)),
      }),
    );
    expectClean(image);
    expect(debugfs(image, 'stat /old')).toMatch(/Device major\/minor number: 08:01/);
    expect(debugfs(image, 'stat /new')).toMatch(/New-style\) Device|Device major\/minor number: 256:257/i);
    expect(debugfs(image, 'stat /top')).toMatch(/Mode: {2}06755.*\n.*\nUser: +(-1|4294967295) /);
    // All four times; 0xee6b27ff is 999,999,999 ns and epoch 3.
    expect(debugfs(image, 'stat /late').match(/time: 0x7fffffff:ee6b27ff/g)).toHaveLength(4);
  });
});

describe('times of the years 2310 to 2378', () => {
  it.each([3 * 2 ** 32 - 2 ** 31, 3 * 2 ** 32 - 1])('are kept (%d), though e2fsck wonders', (seconds) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, () => directory({ f: file(EMPTY, at(seconds)) }));
    const low = ((seconds % 2 ** 32) + 2 ** 32) % 2 ** 32;
    expect(debugfs(image, 'stat /f')).toContain(`mtime: 0x${low.toString(16)}:00000003`);
    expect(run('e2fsck', ['-fn', image])).toContain('Timestamp(s) on inode 12 beyond 2310-04-04');
  });
});

describe('times that ext4 cannot hold', () => {
  it.each([
    ['before 1901', -(2 ** 31) - 1, '0x80000000:00000000'],
    ['after 2446', 2 ** 34 - 2 ** 31, '0x7fffffff:00000003'],
    ['far away', 2 ** 53 - 1, '0x7fffffff:00000003'],
  ])('%s are the nearest it can', (_name, seconds, expected) => {
    using scratch = new Scratch();
    build(scratch.file('image'), () => directory({ f: file(EMPTY, at(seconds)) }));
    expectClean(scratch.file('image'));
    expect(debugfs(scratch.file('image'), 'stat /f')).toContain(`mtime: ${expected}`);
  });
});

describe('what no ext4 can hold is refused', () => {
  const long = 'n'.repeat(256);
  const cases: ReadonlyArray<[string, () => Ext4Directory, string, Record<string, unknown>]> = [
    [
      'a name of 256 bytes',
      () => directory({ a: directory({ [long]: file(EMPTY) }) }),
      'NAME_TOO_LONG',
      { path: `/a/${long}`, nameBytes: 256, maximumBytes: 255 },
    ],
    [
      'a symlink of 4096 bytes',
      () => directory({ a: directory({ l: symlink(bytes(4096)) }) }),
      'SYMLINK_TOO_LONG',
      { path: '/a/l', targetBytes: 4096, maximumBytes: 4095 },
    ],
    [
      'a file beyond 16 TiB',
      () => directory({ f: file({ sizeBytes: (2 ** 32 - 1) * 4096 + 1, extents: [] }) }),
      'FILE_TOO_LARGE',
      { path: '/f', sizeBytes: (2 ** 32 - 1) * 4096 + 1, maximumBytes: (2 ** 32 - 1) * 4096 },
    ],
    ['an empty symlink', () => directory({ l: symlink('') }), 'INTERNAL', { path: '/l' }],
    ['a symlink with NUL', () => directory({ l: symlink('a\0b') }), 'INTERNAL', { path: '/l' }],
    [
      'a mode with type bits',
      () => directory({ f: file(EMPTY, { mode: 0o10000 }) }),
      'INTERNAL',
      { path: '/f' },
    ],
    ['uid 2^32', () => directory({ f: file(EMPTY, { uid: 2 ** 32 }) }), 'INTERNAL', { path: '/f' }],
    ['gid -1', () => directory({ f: file(EMPTY, { gid: -1 }) }), 'INTERNAL', { path: '/f' }],
    ['10^9 ns', () => directory({ f: file(EMPTY, at(0, 1e9)) }), 'INTERNAL', { path: '/f' }],
    ['half a second', () => directory({ f: file(EMPTY, at(0.5)) }), 'INTERNAL', { path: '/f' }],
    ['major 4096', () => directory({ d: device('block', 4096, 0) }), 'INTERNAL', { path: '/d' }],
    ['minor 2^20', () => directory({ d: device('block', 0, 2 ** 20) }), 'INTERNAL', { path: '/d' }],
    ['a name of no bytes', () => directory({ '': file(EMPTY) }), 'INTERNAL', { name: '' }],
    ['the name .', () => directory({ '.': file(EMPTY) }), 'INTERNAL', { name: '.' }],
    ['the name ..', () => directory({ '..': directory() }), 'INTERNAL', { name: '..' }],
    ['a name with /', () => directory({ 'a/b': file(EMPTY) }), 'INTERNAL', { name: 'a/b' }],
    ['a name with NUL', () => directory({ 'a\0': file(EMPTY) }), 'INTERNAL', { name: 'a\0' }],
    ['a name that is not latin1', () => directory({ ż: file(EMPTY) }), 'INTERNAL', { name: 'ż' }],
  ];
  it.each(cases)('%s', (_name, tree, code, details) => {
    using scratch = new Scratch();
    expect(() => build(scratch.file('image'), tree)).toThrow(
      expect.objectContaining({ code, details: expect.objectContaining(details) }),
    );
  });

  it('a directory at two places, or inside itself', () => {
    using scratch = new Scratch();
    const twice = directory();
    const loop = directory();
    loop.children.set('loop', loop);
    const refused = expect.objectContaining({ code: 'INTERNAL' });
    expect(() => build(scratch.file('a'), () => directory({ a: twice, b: twice }))).toThrow(refused);
    expect(() => build(scratch.file('b'), () => directory({ loop }))).toThrow(refused);
    expect(() => build(scratch.file('c'), () => loop)).toThrow(refused);
  });
});

describe('hard links', () => {
  it('are one inode, whatever it is', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const nodes = [file(EMPTY), symlink(bytes(100)), device('block', 1, 2), special('fifo')];
    build(image, () =>
      directory({
        a: directory(Object.fromEntries(nodes.map((node, i) => [`n${i}`, node]))),
        b: directory(Object.fromEntries(nodes.map((node, i) => [`m${i}`, node]))),
      }),
    );
    expectClean(image);
    for (const i of nodes.keys()) {
      const [first, second] = [`/a/n${i}`, `/b/m${i}`].map((path) => debugfs(image, `stat ${path}`));
      expect(first).toContain('Links: 2 ');
      expect(second?.split('\n')[1]).toBe(first?.split('\n')[1]);
    }
  });

  it('number 65,000 at most', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const tree = (names: number): Ext4Directory => {
      const node = file(EMPTY);
      const children = new Map<string, Ext4Node>();
      for (let i = 0; i < names; i++) children.set(`n${i}`, node);
      return { ...directory(), children: new Map([['d', { ...directory(), children }]]) };
    };
    build(image, () => tree(65_000));
    expectClean(image);
    expect(debugfs(image, 'stat /d/n7')).toContain('Links: 65000 ');
    expect(() => build(scratch.file('more'), () => tree(65_001))).toThrow(
      expect.objectContaining({ code: 'LINKS_TOO_MANY', details: { path: '/d/n0', maximumLinks: 65_000 } }),
    );
  });
});

describe('lost+found', () => {
  it('is inode 11, made when the tree has none', () => {
    using scratch = new Scratch();
    build(scratch.file('image'), () => directory({ a: file(EMPTY) }));
    expect(debugfs(scratch.file('image'), 'stat /lost+found')).toMatch(/Inode: 11 .*directory .*0700/);
    expectClean(scratch.file('image'));
  });

  it("is the tree's own where there is one", () => {
    using scratch = new Scratch();
    build(scratch.file('image'), () =>
      directory({ a: directory(), 'lost+found': directory({ kept: file(EMPTY) }, { mode: 0o755, uid: 7 }) }),
    );
    expect(debugfs(scratch.file('image'), 'stat /lost+found')).toMatch(/Inode: 11 .*0755.*\n.*\nUser: +7 /);
    expect(debugfs(scratch.file('image'), 'ls /lost+found')).toContain('kept');
    expectClean(scratch.file('image'));
  });

  it('is left alone when it is something else', () => {
    using scratch = new Scratch();
    build(scratch.file('image'), () => directory({ 'lost+found': symlink('elsewhere') }));
    expect(debugfs(scratch.file('image'), 'stat /lost+found')).toContain('Type: symlink');
    expectClean(scratch.file('image'));
  });
});
