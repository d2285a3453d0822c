import { describe, expect, it } from 'vitest';
import type { Ext4Directory, Ext4Node } from '../../src/ext4/index.js';
import { CAN_MOUNT, listMounted, listTree, Mounted } from './mounted.js';
import {
  build,
  debugfs,
  directory,
  EMPTY,
  expectClean,
  file,
  run,
  Scratch,
  special,
  symlink,
} from './support.js';

type Values = Record<string, Uint8Array | string>;

function withXattrs(values: Values, node: Ext4Node = file(EMPTY)): Ext4Node {
  node.xattrs = new Map(Object.entries(values).map(([name, value]) => [name, Buffer.from(value)]));
  return node;
}

const counting = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, i) => i));
/** `count` attributes named `user.000`…: 20 bytes of entry each, and the value. */
function numbered(count: number, value: Uint8Array): Values {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`user.${String(i).padStart(3, '0')}`, value]),
  );
}

/** An ACL as getxattr gives it: tag, permissions, id. */
function acl(...entries: ReadonlyArray<readonly [tag: number, permissions: number, id: number]>): Buffer {
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(2, 0);
  entries.forEach(([tag, permissions, id], i) => {
    value.writeUInt16LE(tag, 4 + 8 * i);
    value.writeUInt16LE(permissions, 6 + 8 * i);
    value.writeUInt32LE(id, 8 + 8 * i);
  });
  return value;
}

const NO_ID = 2 ** 32 - 1;
const ACCESS_ACL = acl(
  [1, 6, NO_ID],
  [2, 7, 100_000],
  [4, 4, NO_ID],
  [8, 5, 2 ** 32 - 2],
  [16, 7, NO_ID],
  [32, 4, NO_ID],
);
const SHORT_ACL = acl([1, 6, NO_ID], [4, 4, NO_ID], [32, 4, NO_ID]);

// The inode has 88 bytes for entries and values, one block 4,060; `user.a` takes 20 of them.
const IN_INODE = 88 - 20;
const IN_BLOCK = 4060 - 20;

const CASES: Record<string, () => Ext4Node> = {
  'a capability': () =>
    withXattrs({ 'security.capability': Buffer.from('0100000200040000000000000000000000000000', 'hex') }),
  'an empty value': () => withXattrs({ 'user.a': '' }),
  'empty values beyond the inode': () => withXattrs(numbered(60, Buffer.alloc(0))),
  'a binary value': () => withXattrs({ 'user.a': counting(64) }),
  'all byte values': () => withXattrs({ 'user.a': counting(256) }),
  'a value that fills the inode': () => withXattrs({ 'user.a': counting(IN_INODE) }),
  'one byte more than the inode': () => withXattrs({ 'user.a': counting(IN_INODE + 1) }),
  'a value that fills the block': () => withXattrs({ 'user.a': counting(IN_BLOCK) }),
  'inode and block full': () => withXattrs({ 'user.a': counting(IN_BLOCK), 'user.b': counting(IN_INODE) }),
  many: () => withXattrs(numbered(203 + 4, Buffer.alloc(0))),
  'the longest name': () => withXattrs({ [`user.${'n'.repeat(250)}`]: 'v' }),
  'a name that is not ASCII': () => withXattrs({ 'user.\xc3\xa9': 'v', 'user.\xff': counting(200) }),
  'all name spaces': () =>
    withXattrs(
      {
        'user.z': 'z',
        'trusted.y': 'y',
        'security.x': 'x',
        'system.posix_acl_access': SHORT_ACL,
        'user.aa': '1',
        'user.b': '2',
      },
      file(EMPTY, { mode: 0o644 }),
    ),
  'an ACL': () => withXattrs({ 'system.posix_acl_access': ACCESS_ACL }, file(EMPTY, { mode: 0o674 })),
  'two ACLs of a directory': () =>
    withXattrs(
      {
        'system.posix_acl_access': ACCESS_ACL,
        'system.posix_acl_default': ACCESS_ACL,
        'user.a': counting(300),
      },
      directory({}, { mode: 0o674 }),
    ),
  'a symlink': () => withXattrs({ 'trusted.a': counting(100), 'security.b': '' }, symlink('x')),
  'a long symlink': () => withXattrs({ 'trusted.a': counting(100) }, symlink('x'.repeat(100))),
  'a fifo': () => withXattrs({ 'trusted.a': counting(30) }, special('fifo')),
  'overlay marks': () =>
    withXattrs({ 'trusted.overlay.opaque': 'y', 'user.overlay.opaque': 'y' }, directory()),
};

function treeOfCases(): Ext4Directory {
  const tree = directory(Object.fromEntries(Object.entries(CASES).map(([name, make]) => [name, make()])));
  withXattrs({ 'user.root': 'r', 'trusted.long': counting(1000) }, tree);
  return tree;
}

describe('extended attributes', () => {
  it('are clean', () => {
    using scratch = new Scratch();
    build(scratch.file('image'), treeOfCases);
    expectClean(scratch.file('image'));
  });

  it('are what debugfs reads', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, () =>
      directory({
        f: withXattrs({ 'user.a': counting(IN_BLOCK), 'user.b': counting(IN_INODE - 20), 'user.c': '' }),
      }),
    );
    expectClean(image);
    for (const [name, length] of [
      ['user.a', IN_BLOCK],
      ['user.b', IN_INODE - 20],
    ] as const) {
      debugfs(image, `ea_get -f ${scratch.file(name)} /f ${name}`);
      expect(run('cmp', [scratch.file(name), '-'], counting(length).toString('latin1'))).toBe('');
    }
    expect(debugfs(image, 'ea_list /f')).toContain('user.c (0)');
  });

  it.runIf(CAN_MOUNT)('are what the kernel reads (needs root)', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, treeOfCases);
    {
      using mounted = new Mounted(image);
      expect(listMounted(mounted.path)).toEqual(listTree(treeOfCases(), new Map()));
      run('setfattr', [
        '-n',
        'user.new',
        '-v',
        'x'.repeat(50),
        `${mounted.path}/many`.replace('many', 'a binary value'),
      ]);
      run('setfattr', ['-x', 'user.root', mounted.path]);
    }
    expectClean(image);
  });

  it('share blocks that are equal, 1,024 inodes to one', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const shared = (count: number): Ext4Directory => {
      const names = Array.from({ length: count }, (_, i) => `n${i}`);
      return directory(
        Object.fromEntries(names.map((name) => [name, withXattrs({ 'user.a': counting(1000) })])),
      );
    };
    const free = [1, 1024, 1025].map((count) => {
      const summary = build(scratch.file(`${count}`), () => directory({ d: shared(count) }), {
        sizeBytes: 2 ** 27,
      });
      expectClean(scratch.file(`${count}`));
      return summary.freeBlockCount;
    });
    // 1,024 entries of 16 bytes need an index of six blocks.
    expect(debugfs(scratch.file('1024'), 'stat /d/n0').match(/File ACL: (\d+)/)?.[1]).toBe(
      debugfs(scratch.file('1024'), 'stat /d/n1023').match(/File ACL: (\d+)/)?.[1],
    );
    expect((free[1] ?? 0) - (free[2] ?? 0)).toBe(1);
    if (!CAN_MOUNT) return;
    build(image, () => shared(1025));
    {
      using mounted = new Mounted(image);
      run('setfattr', ['-n', 'user.a', '-v', 'changed', `${mounted.path}/n5`]);
      run('rm', [`${mounted.path}/n6`]);
      const kept = run('getfattr', ['--only-values', '-n', 'user.a', `${mounted.path}/n7`]);
      expect(Buffer.from(kept, 'latin1').equals(counting(1000))).toBe(true);
    }
    expectClean(image);
  });

  const refused: ReadonlyArray<[string, Values, string]> = [
    ['one byte more than the block', { 'user.a': counting(IN_BLOCK + 1) }, 'XATTR_TOO_LARGE'],
    [
      'one byte more than inode and block',
      { 'user.a': counting(IN_BLOCK), 'user.b': counting(IN_INODE + 1) },
      'XATTR_TOO_LARGE',
    ],
    ['one more than fit', numbered(203 + 5, Buffer.alloc(0)), 'XATTR_TOO_LARGE'],
    ['65 KiB', { 'user.a': counting(65_537) }, 'XATTR_TOO_LARGE'],
    ['a name of 256 bytes', { [`user.${'n'.repeat(251)}`]: '' }, 'XATTR_TOO_LARGE'],
    ['a name without prefix', { foo: '' }, 'XATTR_UNSUPPORTED'],
    ['a prefix that Linux does not know', { 'com.apple.quarantine': 'x' }, 'XATTR_UNSUPPORTED'],
    ['nothing after the prefix', { 'user.': 'x' }, 'XATTR_UNSUPPORTED'],
    ['NUL in a name', { 'user.a\0b': 'x' }, 'XATTR_UNSUPPORTED'],
    ['a system attribute that ext4 has not', { 'system.nfs4_acl': 'x' }, 'XATTR_UNSUPPORTED'],
    ['an ACL of 3 bytes', { 'system.posix_acl_access': counting(3) }, 'XATTR_UNSUPPORTED'],
    ['an ACL of version 1', { 'system.posix_acl_access': Buffer.from([1, 0, 0, 0]) }, 'XATTR_UNSUPPORTED'],
    ['half an ACL entry', { 'system.posix_acl_access': SHORT_ACL.subarray(0, 16) }, 'XATTR_UNSUPPORTED'],
    ['an unknown ACL tag', { 'system.posix_acl_access': acl([3, 6, 0]) }, 'XATTR_UNSUPPORTED'],
  ];
  it.each(refused)('refuses %s', (_name, values, code) => {
    using scratch = new Scratch();
    const attempt = (): unknown =>
      build(scratch.file('image'), () => directory({ d: directory({ f: withXattrs(values) }) }));
    expect(attempt).toThrow(
      expect.objectContaining({ code, details: expect.objectContaining({ path: '/d/f' }) }),
    );
  });

  it('leaves out an ACL without entries', () => {
    using scratch = new Scratch();
    build(scratch.file('image'), () => directory({ f: withXattrs({ 'system.posix_acl_access': acl() }) }));
    expectClean(scratch.file('image'));
    expect(debugfs(scratch.file('image'), 'ea_list /f')).not.toContain('acl');
  });
});
