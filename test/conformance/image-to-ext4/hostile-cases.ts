/** Layers that lie: each with the code that refuses it, or what becomes of it. */
import { gzipSync } from 'node:zlib';
import { gzipLayer, type LayerSpec, sha256, TAR_LAYER } from '../../rootfs/support/image-builder.js';
import {
  dir,
  END,
  type EntrySpec,
  entry,
  extension,
  file,
  hardlink,
  header,
  latin1,
  paxRecords,
  symlink,
  tar,
  whiteout,
} from '../../rootfs/support/tar-builder.js';

export interface HostileCase {
  readonly what: string;
  /** Base first. */
  readonly layers: () => LayerSpec[];
  readonly code: string;
  /** Facts that the error must name. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly limits?: { readonly maxContentBytes?: number; readonly maxEntries?: number };
}

const layer =
  (...pieces: ReadonlyArray<EntrySpec | Buffer>): (() => LayerSpec[]) =>
  () => [gzipLayer(tar(...pieces))];
const plain = tar(dir('d'), file('d/f', 'x'.repeat(5000)), file('g', 'y'));

/** The layer with its stored bytes changed; digest and size are of the changed bytes, diffID of the honest ones. */
function damaged(change: (blob: Buffer) => Uint8Array): () => LayerSpec[] {
  return () => [{ tar: plain, blob: change(gzipSync(plain)) }];
}

export const HOSTILE_CASES: readonly HostileCase[] = [
  {
    what: 'a bare whiteout',
    layers: layer(file('d/.wh.')),
    code: 'WHITEOUT_INVALID',
    details: { path: 'd/.wh.' },
  },
  { what: 'a whiteout of the directory itself', layers: layer(file('d/.wh..')), code: 'WHITEOUT_INVALID' },
  { what: 'a whiteout of the parent', layers: layer(file('d/.wh...')), code: 'WHITEOUT_INVALID' },
  {
    what: 'a root that is a symlink',
    layers: layer(symlink('/.', '/etc')),
    code: 'PATH_ESCAPES_ROOT',
    details: { path: '/' },
  },
  { what: 'a root that is a file', layers: layer(file('..', 'x')), code: 'PATH_ESCAPES_ROOT' },
  {
    what: 'a hard link out of the root',
    layers: layer(hardlink('a', '../../../etc/shadow')),
    code: 'HARDLINK_TARGET_MISSING',
    details: { path: 'a', target: 'etc/shadow' },
  },
  {
    what: 'hard links in a circle',
    layers: layer(hardlink('a', 'b'), hardlink('b', 'a')),
    code: 'HARDLINK_TARGET_MISSING',
  },
  {
    what: 'a hard link to a directory',
    layers: layer(dir('d'), hardlink('a', 'd')),
    code: 'HARDLINK_TARGET_INVALID',
  },
  {
    what: 'a hard link to a file that the same layer hides',
    layers: () => [gzipLayer(tar(file('a', 'x'))), gzipLayer(tar(hardlink('b', 'a'), whiteout('a')))],
    code: 'HARDLINK_TARGET_MISSING',
  },
  {
    what: 'symlinks in a circle as parents',
    layers: layer(symlink('a', 'b'), symlink('b', 'a'), file('a/x')),
    code: 'SYMLINK_LOOP',
    details: { path: 'a/x' },
  },
  { what: 'a NUL in a name', layers: layer(file('a', '', { pax: { path: 'a\0b' } })), code: 'TAR_INVALID' },
  {
    what: 'a NUL in a link target',
    layers: layer(symlink('a', 'b', { pax: { linkpath: '/etc\0' } })),
    code: 'TAR_INVALID',
  },
  { what: 'a name of 256 bytes', layers: layer(file('n'.repeat(256))), code: 'NAME_TOO_LONG' },
  { what: 'a path of more than 32 KiB', layers: layer(file('d/'.repeat(20_000))), code: 'PATH_TOO_LONG' },
  {
    what: 'a link target of 4,096 bytes',
    layers: layer(symlink('a', 't'.repeat(4096))),
    code: 'SYMLINK_TOO_LONG',
  },
  {
    what: 'a PAX size larger than the archive',
    layers: layer(file('a', 'x', { pax: { size: '99999999' } })),
    code: 'TAR_TRUNCATED',
  },
  {
    what: 'a PAX size of 1 EiB',
    layers: layer(file('a', 'x', { pax: { size: '1152921504606846976' } })),
    code: 'TAR_INVALID',
  },
  {
    what: 'a PAX size of 1 PiB',
    layers: layer(file('a', 'x', { pax: { size: '1125899906842624' } })),
    code: 'CONTENT_TOO_LARGE',
    details: { path: 'a' },
  },
  {
    what: 'a negative PAX size',
    layers: layer(file('a', 'x', { pax: { size: '-1' } })),
    code: 'TAR_INVALID',
  },
  { what: 'a negative base-256 size', layers: layer(file('a', '', { size: -512 })), code: 'TAR_INVALID' },
  {
    what: 'a huge base-256 size',
    layers: layer(file('a', '', { raw: { 124: '\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff' } })),
    code: 'TAR_INVALID',
  },
  {
    what: 'a uid that wraps to root',
    layers: layer(file('a', '', { uid: 2 ** 32 })),
    code: 'TAR_INVALID',
    details: { path: 'a' },
  },
  { what: 'a negative uid', layers: layer(file('a', '', { uid: -1 })), code: 'TAR_INVALID' },
  {
    what: 'a PAX uid that wraps to root',
    layers: layer(file('a', '', { pax: { uid: '4294967296' } })),
    code: 'TAR_INVALID',
  },
  {
    what: 'a device number that does not fit',
    layers: layer({ path: 'c', type: '3', major: 4096 }),
    code: 'TAR_INVALID',
  },
  {
    what: 'an extended header of 2 GiB',
    layers: () => [gzipLayer(Buffer.concat([header({ path: 'x', type: 'x', size: 2 ** 31 }, 0), END]))],
    code: 'TAR_INVALID',
  },
  {
    what: 'a long name of 2 MiB',
    layers: layer(extension('L', Buffer.alloc(2 ** 21, 0x61)), file('a')),
    code: 'TAR_INVALID',
  },
  {
    what: 'a PAX record that claims to be longer than its header',
    layers: layer(extension('x', latin1('999 path=a\n')), file('a')),
    code: 'TAR_INVALID',
  },
  {
    what: 'a sparse map that leaves the file',
    layers: layer({ path: 'a', body: 'x', pax: { 'GNU.sparse.map': '10,1', 'GNU.sparse.size': '5' } }),
    code: 'TAR_INVALID',
  },
  { what: 'an unknown entry type', layers: layer({ path: 'a', type: 'M' }), code: 'TAR_INVALID' },
  {
    what: 'a wrong header checksum',
    layers: layer(file('a', '', { badChecksum: true })),
    code: 'TAR_INVALID',
  },
  {
    what: 'an extended header without its entry',
    layers: () => [gzipLayer(extension('x', paxRecords({ path: 'a' })))],
    code: 'TAR_TRUNCATED',
  },
  { what: 'a tar cut in a header', layers: () => [gzipLayer(plain.subarray(0, 700))], code: 'TAR_TRUNCATED' },
  {
    what: 'a tar cut in a body',
    layers: () => [gzipLayer(plain.subarray(0, 2000))],
    code: 'TAR_TRUNCATED',
    details: { path: 'd/f' },
  },
  {
    what: 'more content than allowed',
    layers: layer(file('a', 'x'.repeat(600)), file('b', 'x'.repeat(600))),
    code: 'CONTENT_TOO_LARGE',
    limits: { maxContentBytes: 1000 },
    details: { path: 'b' },
  },
  {
    what: 'more entries than allowed',
    layers: layer(file('a'), file('b'), file('c')),
    code: 'ENTRIES_TOO_MANY',
    limits: { maxEntries: 2 },
    details: { path: 'c' },
  },
  {
    what: 'more implied directories than allowed',
    layers: layer(file('d/'.repeat(3000))),
    code: 'ENTRIES_TOO_MANY',
    limits: { maxEntries: 1000 },
  },
  {
    what: 'attributes of 200 MB',
    layers: layer(
      ...Array.from({ length: 200 }, (_, i) =>
        file(`f${i}`, '', { pax: { 'SCHILY.xattr.user.x': 'v'.repeat(1_000_000) } }),
      ),
    ),
    code: 'CONTENT_TOO_LARGE',
  },
  {
    what: 'a bomb: a gigabyte of zeros where a megabyte is allowed',
    layers: () => [
      gzipLayer(Buffer.concat([header({ path: 'zeros', size: 2 ** 30 }, 0), Buffer.alloc(64 * 2 ** 20)])),
    ],
    code: 'CONTENT_TOO_LARGE',
    limits: { maxContentBytes: 2 ** 20 },
  },
  {
    what: 'a gzip stream cut short',
    layers: damaged((blob) => blob.subarray(0, blob.byteLength - 20)),
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'a gzip stream without its last byte',
    layers: damaged((blob) => blob.subarray(0, blob.byteLength - 1)),
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'a gzip stream with a flipped bit',
    layers: damaged((blob) => flipped(blob, blob.byteLength - 30)),
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'a wrong gzip checksum',
    layers: damaged((blob) => flipped(blob, blob.byteLength - 8)),
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'garbage behind a gzip stream',
    layers: damaged((blob) => Buffer.concat([blob, latin1('garbage')])),
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'garbage behind the padding of a gzip stream',
    layers: damaged((blob) => Buffer.concat([blob, Buffer.alloc(100), latin1('garbage')])),
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'no gzip stream at all',
    layers: damaged(() => latin1('this is no layer')),
    code: 'COMPRESSION_INVALID',
  },
  { what: 'an empty blob', layers: damaged(() => Buffer.alloc(0)), code: 'COMPRESSION_INVALID' },
  {
    what: 'a cut zstd stream',
    layers: () => [
      {
        tar: plain,
        blob: Buffer.from('28b52ffd0458', 'hex'),
        mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd',
      },
    ],
    code: 'COMPRESSION_INVALID',
  },
  {
    what: 'a wrong diffID',
    layers: () => [{ ...gzipLayer(plain), diffId: sha256(latin1('else')) }],
    code: 'DIFF_ID_MISMATCH',
    details: { layerIndex: 0 },
  },
  {
    what: 'a wrong blob digest',
    layers: () => [
      { ...gzipLayer(tar(file('a', '', { badChecksum: true }))), digest: sha256(latin1('else')) },
    ],
    code: 'DIGEST_MISMATCH',
    details: { layerIndex: 0 },
  },
  {
    what: 'a wrong blob digest of an uncompressed layer',
    layers: () => [{ tar: plain, blob: flipped(plain, 600), mediaType: TAR_LAYER, digest: sha256(plain) }],
    code: 'DIGEST_MISMATCH',
  },
  {
    what: 'a foreign layer',
    layers: () => [
      { ...gzipLayer(plain), mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
    ],
    code: 'LAYER_FOREIGN',
  },
  {
    what: 'an encrypted layer',
    layers: () => [
      { ...gzipLayer(plain), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted' },
    ],
    code: 'MEDIA_TYPE_UNSUPPORTED',
  },
  {
    what: 'a layer that is no tar',
    layers: () => [{ ...gzipLayer(plain), mediaType: 'application/json' }],
    code: 'MEDIA_TYPE_UNSUPPORTED',
  },
  { what: 'no layers', layers: () => [], code: 'MANIFEST_INVALID' },
];

function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
}

/** Layers that lie harmlessly: what they say stays inside the image. Title, layer, lines of the tree. */
export const CONTAINED_CASES: ReadonlyArray<readonly [what: string, tar: Buffer, lines: readonly string[]]> =
  [
    ['names that climb out', tar(file('../../../etc/passwd', 'x')), ['/etc/', '/etc/passwd = x #0']],
    ['absolute names', tar(file('/etc/passwd', 'x')), ['/etc/', '/etc/passwd = x #0']],
    [
      'a symlink out, then a file through it',
      tar(symlink('l', '../../..'), file('l/etc/passwd', 'x')),
      ['/etc/', '/etc/passwd = x #0', '/l -> ../../..'],
    ],
    [
      'an absolute symlink, then a file through it',
      tar(symlink('l', '/etc'), file('l/passwd', 'x')),
      ['/etc/', '/etc/passwd = x #0', '/l -> /etc'],
    ],
    [
      'a symlink replaced by a file of its name',
      tar(symlink('l', '/etc/passwd'), file('l', 'x')),
      ['/l = x #0'],
    ],
    [
      'a directory replaced by a symlink, then written through',
      tar(dir('a'), symlink('a', '..'), file('a/b', 'x')),
      ['/a -> ..', '/b = x #0'],
    ],
    [
      'a PAX size in front of a long name',
      Buffer.concat([
        extension('x', paxRecords({ size: '1024' })),
        extension('L', latin1('outer\0')),
        header({ path: 'o' }, 0),
        entry(file('in', 'x')),
        END,
      ]),
      [`/outer = ${entry(file('in', 'x')).toString('latin1')} #0`],
    ],
  ];
