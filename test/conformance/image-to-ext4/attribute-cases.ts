/** What single entries must look like in the finished file system: attributes, names, sizes, devices. */
import { dir, type EntrySpec, file, latin1, pad, symlink } from '../../rootfs/support/tar-builder.js';
import type { BackNode } from './read-back.js';

/** Title, entries of one layer, path → what the kernel must say. */
export type AttributeCase = readonly [
  what: string,
  entries: readonly EntrySpec[],
  expected: Readonly<Record<string, Partial<BackNode>>>,
];

const second = 1_000_000_000n;
const name255 = 'n'.repeat(255);
const capability = latin1('\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0');
/** POSIX ACL, version 2: user::rw-, user:1000:r--, group::r--, mask::r--, other::r-- */
const acl = Buffer.from(
  '02000000' +
    '01000600ffffffff' +
    '02000400e8030000' +
    '04000400ffffffff' +
    '10000400ffffffff' +
    '20000400ffffffff',
  'hex',
);
const xattr = (name: string, value: Buffer): Readonly<Record<string, string>> => ({
  [`SCHILY.xattr.${name}`]: value.toString('latin1'),
});

export const ATTRIBUTE_CASES: readonly AttributeCase[] = [
  [
    'owners up to 32 bits',
    [file('a', '', { uid: 70_000, gid: 0xfffffffe })],
    { '/a': { uid: 70_000, gid: 0xfffffffe } },
  ],
  [
    'setuid, setgid and sticky bits',
    [file('a', '', { mode: 0o4755 }), file('b', '', { mode: 0o2755 }), dir('t', { mode: 0o1777 })],
    { '/a': { mode: 0o4755 }, '/b': { mode: 0o2755 }, '/t': { mode: 0o1777 } },
  ],
  ['files without any permission', [file('a', 'x', { mode: 0 })], { '/a': { mode: 0, body: 'x' } }],
  [
    'nanoseconds',
    [file('a', '', { pax: { mtime: '1700000000.123456789' } })],
    { '/a': { mtimeNs: 1700000000n * second + 123456789n } },
  ],
  [
    'times before 1970',
    [file('a', '', { pax: { mtime: '-86400.25' } })],
    { '/a': { mtimeNs: -86400n * second - 250_000_000n } },
  ],
  [
    'times after 2038',
    [file('a', '', { mtime: 4_102_444_800 })],
    { '/a': { mtimeNs: 4_102_444_800n * second } },
  ],
  [
    'times beyond ext4 are clamped',
    [file('a', '', { mtime: 2 ** 40 }), file('b', '', { mtime: -(2 ** 40) })],
    { '/a': { mtimeNs: (2n ** 34n - 2n ** 31n - 1n) * second }, '/b': { mtimeNs: -(2n ** 31n) * second } },
  ],
  [
    'attributes of the root',
    [{ path: './', type: '5', mode: 0o711, uid: 3, mtime: 77 }],
    { '': { mode: 0o711, uid: 3, mtimeNs: 77n * second } },
  ],
  [
    'character and block devices',
    [
      { path: 'c', type: '3', major: 4095, minor: 1048575 },
      { path: 'b', type: '4', major: 8, minor: 17 },
      { path: 'n', type: '3', major: 1, minor: 3 },
    ],
    {
      '/c': { kind: 'character', device: '4095,1048575' },
      '/b': { kind: 'block', device: '8,17' },
      '/n': { device: '1,3' },
    },
  ],
  ['FIFOs', [{ path: 'p', type: '6', mode: 0o600 }], { '/p': { kind: 'fifo', mode: 0o600 } }],
  [
    'names that are not UTF-8',
    [file('\xff\xfe', 'x'), file('\xc3\xa9', 'y')],
    { '/\xff\xfe': { body: 'x' }, '/\xc3\xa9': { body: 'y' } },
  ],
  ['names with spaces, backslashes and newlines', [file(' a\\b\nc ', 'x')], { '/ a\\b\nc ': { body: 'x' } }],
  [
    'names of 255 bytes',
    [file(name255, 'x'), dir(`d${name255.slice(1)}`)],
    { [`/${name255}`]: { body: 'x' } },
  ],
  [
    'link targets of 59, 60 and 4,095 bytes',
    [symlink('a', 't'.repeat(59)), symlink('b', 't'.repeat(60)), symlink('c', 't'.repeat(4095))],
    {
      '/a': { target: 't'.repeat(59) },
      '/b': { target: 't'.repeat(60) },
      '/c': { target: 't'.repeat(4095) },
    },
  ],
  ['link targets that are not UTF-8', [symlink('a', '\xff/\xfe')], { '/a': { target: '\xff/\xfe' } }],
  [
    'binary extended attributes',
    [file('a', '', { pax: xattr('user.b', latin1('\0\x01\xff\n=')) })],
    { '/a': { xattrs: { 'user.b': '0001ff0a3d' } } },
  ],
  [
    'empty extended attributes',
    [file('a', '', { pax: xattr('user.e', Buffer.alloc(0)) })],
    { '/a': { xattrs: { 'user.e': '' } } },
  ],
  [
    'file capabilities',
    [file('a', '', { pax: xattr('security.capability', capability) })],
    { '/a': { xattrs: { 'security.capability': capability.toString('hex') } } },
  ],
  [
    'POSIX ACLs',
    [file('a', '', { mode: 0o644, pax: xattr('system.posix_acl_access', acl) })],
    { '/a': { mode: 0o644, xattrs: { 'system.posix_acl_access': acl.toString('hex') } } },
  ],
  [
    'attributes larger than an inode',
    [file('a', '', { pax: xattr('user.big', Buffer.alloc(3000, 7)) })],
    { '/a': { xattrs: { 'user.big': '07'.repeat(3000) } } },
  ],
  [
    'attributes of directories and links',
    [
      dir('d', { pax: xattr('user.d', latin1('1')) }),
      symlink('l', 'x', { pax: xattr('trusted.l', latin1('2')) }),
    ],
    { '/d': { xattrs: { 'user.d': '31' } }, '/l': { xattrs: { 'trusted.l': '32' } } },
  ],
  [
    'sizes around a block',
    [0, 1, 4095, 4096, 4097].map((size) => file(`f${size}`, 'z'.repeat(size))),
    Object.fromEntries(
      [0, 1, 4095, 4096, 4097].map((size) => [`/f${size}`, { sizeBytes: size, body: 'z'.repeat(size) }]),
    ),
  ],
  [
    'sparse files',
    [
      {
        path: 'x',
        body: Buffer.concat([pad(latin1('1\n10000\n5\n')), latin1('hello')]),
        pax: {
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.realsize': '20000',
          'GNU.sparse.name': 's',
        },
      },
    ],
    { '/s': { sizeBytes: 20000, body: `${'\0'.repeat(10000)}hello${'\0'.repeat(9995)}` } },
  ],
  [
    'sparse files larger than 128 GiB',
    [
      {
        path: 's',
        body: 'end',
        pax: { 'GNU.sparse.map': `${200 * 1024 ** 3},3`, 'GNU.sparse.size': String(200 * 1024 ** 3 + 3) },
      },
    ],
    { '/s': { sizeBytes: 200 * 1024 ** 3 + 3 } },
  ],
  [
    'hard links count',
    [file('a', 'x'), { path: 'b', type: '1', linkTarget: 'a' }, { path: 'c', type: '1', linkTarget: 'a' }],
    { '/a': { linkCount: 3 }, '/c': { linkCount: 3, body: 'x' } },
  ],
  ['directories count their subdirectories', [dir('d/a'), dir('d/b')], { '/d': { linkCount: 4 } }],
];
