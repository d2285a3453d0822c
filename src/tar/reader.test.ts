import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
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
  numberField,
  pad,
  paxRecords,
  symlink,
  tar,
} from '../../test/rootfs/support/tar-builder.js';
import { HearthError } from '../errors/index.js';
import { type TarEntry, TarReader } from './index.js';

interface ReadEntry extends TarEntry {
  readonly body: string;
}

/** Everything an archive holds, with bodies as they read (holes as NULs). */
function read(bytes: Uint8Array, chunkBytes = bytes.byteLength || 1): ReadEntry[] {
  const entries: ReadEntry[] = [];
  let open: { entry: TarEntry; body: Buffer } | undefined;
  const reader = new TarReader({
    onEntry(tarEntry) {
      if (tarEntry.kind !== 'file') entries.push({ ...tarEntry, body: '' });
      else open = { entry: tarEntry, body: Buffer.alloc(tarEntry.sizeBytes) };
    },
    onData: (data, offset) => open?.body.set(data, offset),
    onFileEnd() {
      if (open !== undefined) entries.push({ ...open.entry, body: open.body.toString('latin1') });
      open = undefined;
    },
  });
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) reader.push(bytes.subarray(at, at + chunkBytes));
  reader.finish();
  return entries;
}

function failure(bytes: Uint8Array): { code: string; details: Readonly<Record<string, unknown>> } {
  try {
    read(bytes);
  } catch (error) {
    if (HearthError.is(error)) return { code: error.code, details: error.details };
    throw error;
  }
  throw new Error('nothing was thrown');
}

const one = (spec: EntrySpec): ReadEntry | undefined => read(tar(spec))[0];
const longPath = `${'d'.repeat(90)}/${'n'.repeat(90)}`;

describe('TarReader', () => {
  const fields: ReadonlyArray<[name: string, spec: EntrySpec, expected: Partial<ReadEntry>]> = [
    ['a file', file('a', 'hello'), { path: 'a', kind: 'file', sizeBytes: 5, storedBytes: 5, body: 'hello' }],
    ['an empty file', file('a'), { kind: 'file', sizeBytes: 0, body: '' }],
    ['a body of exactly one block', file('a', 'x'.repeat(512)), { sizeBytes: 512, body: 'x'.repeat(512) }],
    ['a body of a block and a byte', file('a', 'x'.repeat(513)), { body: 'x'.repeat(513) }],
    ['a directory', dir('d', { mode: 0o1777 }), { path: 'd/', kind: 'directory', mode: 0o1777 }],
    ['a symlink', symlink('l', '../t'), { kind: 'symlink', linkTarget: '../t' }],
    ['a hard link', hardlink('l', 't'), { kind: 'hardlink', linkTarget: 't' }],
    [
      'a character device',
      { path: 'c', type: '3', major: 4095, minor: 1048575 },
      { kind: 'character', major: 4095, minor: 1048575 },
    ],
    ['a block device', { path: 'b', type: '4', major: 8, minor: 1 }, { kind: 'block', major: 8, minor: 1 }],
    ['a fifo', { path: 'p', type: '6' }, { kind: 'fifo' }],
    ['a contiguous file', file('a', 'x', { type: '7' }), { kind: 'file', body: 'x' }],
    ['an old file', file('a', 'x', { type: '\0', format: 'v7' }), { kind: 'file', body: 'x' }],
    ['an old directory', { path: 'd/', type: '\0', format: 'v7' }, { kind: 'directory' }],
    ['all mode bits', file('a', '', { mode: 0o107777 }), { mode: 0o7777 }],
    ['the largest octal uid', file('a', '', { uid: 0o7777777 }), { uid: 0o7777777 }],
    ['a base-256 uid', file('a', '', { uid: 0xffffffff }), { uid: 0xffffffff }],
    ['a base-256 time before 1970', file('a', '', { mtime: -5 }), { mtime: { seconds: -5, nanoseconds: 0 } }],
    ['blank numbers', file('a', '', { raw: { 108: '\0'.repeat(8), 116: '        ' } }), { uid: 0, gid: 0 }],
    ['a number with leading spaces', file('a', '', { raw: { 108: '   17 \0 ' } }), { uid: 15 }],
    ['a ustar prefix', { path: 'name', raw: { 345: 'some/prefix' } }, { path: 'some/prefix/name' }],
    [
      'no prefix in the GNU format',
      { path: 'name', format: 'gnu', raw: { 345: '12345670' } },
      { path: 'name' },
    ],
    ['a name of exactly 100 bytes', file('n'.repeat(100)), { path: 'n'.repeat(100) }],
    ['a name of bytes that are not UTF-8', file('\xff\xfe'), { path: '\xff\xfe' }],
    ['a PAX path', file(longPath, 'x'), { path: longPath, body: 'x' }],
    ['a PAX path that is not UTF-8', file('a', '', { pax: { path: 'b\xff' } }), { path: 'b\xff' }],
    ['an empty PAX path', file('a', '', { pax: { path: '' } }), { path: 'a' }],
    ['a PAX linkpath', symlink('l', 't'.repeat(4000)), { linkTarget: 't'.repeat(4000) }],
    [
      'PAX uid and gid',
      file('a', '', { pax: { uid: '4294967295', gid: '70000' } }),
      { uid: 0xffffffff, gid: 70000 },
    ],
    ['a PAX size', { path: 'a', size: 0, pax: { size: '3' }, body: 'abc' }, { sizeBytes: 3, body: 'abc' }],
    [
      'PAX nanoseconds',
      file('a', '', { pax: { mtime: '12.000000345' } }),
      { mtime: { seconds: 12, nanoseconds: 345 } },
    ],
    [
      'PAX time before 1970',
      file('a', '', { pax: { mtime: '-1.25' } }),
      { mtime: { seconds: -2, nanoseconds: 750_000_000 } },
    ],
    [
      'PAX whole seconds before 1970',
      file('a', '', { pax: { mtime: '-7' } }),
      { mtime: { seconds: -7, nanoseconds: 0 } },
    ],
    [
      'more digits than nanoseconds',
      file('a', '', { pax: { mtime: '1.0000000019' } }),
      { mtime: { seconds: 1, nanoseconds: 1 } },
    ],
    [
      'a directory that claims a size',
      { path: 'd/', type: '5', size: 12345 },
      { kind: 'directory', sizeBytes: 0 },
    ],
    [
      'a hard link that claims a size',
      { path: 'l', type: '1', linkTarget: 't', size: 99 },
      { kind: 'hardlink', storedBytes: 0 },
    ],
  ];
  it.each(fields)('reads %s', (_name, spec, expected) => {
    expect(one(spec)).toMatchObject(expected);
  });

  it("reads binary extended attributes, and libarchive's form of them", () => {
    const value = '\x01\0\0\x02\xff\xfe\n=';
    const both = { 'SCHILY.xattr.user.b': value, 'LIBARCHIVE.xattr.user.b': 'QUJD' };
    expect(one(file('a', '', { pax: both }))?.xattrs).toEqual(
      new Map([['user.b', new Uint8Array(latin1(value))]]),
    );
    const encoded = { 'LIBARCHIVE.xattr.user.a%3Db': 'AP8=' };
    expect(one(file('a', '', { pax: encoded }))?.xattrs).toEqual(
      new Map([['user.a=b', new Uint8Array([0, 255])]]),
    );
    expect(one(file('a', '', { pax: { 'SCHILY.xattr.user.e': '' } }))?.xattrs?.get('user.e')).toHaveLength(0);
  });

  it('reads GNU long names and targets, over PAX', () => {
    const bytes = tar(
      extension('x', paxRecords({ path: 'pax', size: '1' })),
      extension('K', latin1(`${'t'.repeat(300)}\0`)),
      extension('L', latin1(`${longPath}\0rest`)),
      symlink('short', 'short'),
      file('next', 'body'),
    );
    expect(read(bytes)).toMatchObject([
      { path: longPath, linkTarget: 't'.repeat(300) },
      { path: 'next', body: 'body' },
    ]);
  });

  it('applies a PAX size to its entry, not to the long name between them', () => {
    const inner = tar(file('smuggled', 'x')).subarray(0, 1024);
    const bytes = tar(
      extension('x', paxRecords({ size: String(inner.byteLength) })),
      extension('L', latin1('outer\0')),
      header({ path: 'o', size: 0 }, 0),
      inner,
      file('after'),
    );
    expect(read(bytes).map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual([
      ['outer', inner.byteLength],
      ['after', 0],
    ]);
  });

  it('checks global headers and does not apply them', () => {
    const bytes = tar(extension('g', paxRecords({ path: 'evil', uid: '7', size: '9' })), file('a', 'x'));
    expect(read(bytes)).toMatchObject([{ path: 'a', uid: 0, body: 'x' }]);
    expect(failure(tar(extension('g', latin1('nonsense')), file('a'))).code).toBe('TAR_INVALID');
  });

  const pairs = (...numbers: number[]): string =>
    numbers.map((n) => numberField(n, 12).toString('latin1')).join('');
  const sparseForms: ReadonlyArray<[name: string, bytes: Buffer]> = [
    [
      'old GNU',
      Buffer.concat([
        header({ path: 's', type: 'S', format: 'gnu', raw: { 386: pairs(2, 3, 8, 2), 483: pairs(12) } }, 5),
        pad(latin1('abcde')),
      ]),
    ],
    [
      'old GNU with an extension block',
      Buffer.concat([
        header(
          {
            path: 's',
            type: 'S',
            format: 'gnu',
            raw: { 386: pairs(2, 1, 3, 1, 4, 1, 8, 1), 482: '\x01', 483: pairs(12) },
          },
          5,
        ),
        pad(latin1(pairs(9, 1))),
        pad(latin1('abcde')),
      ]),
    ],
    [
      'PAX 0.0',
      Buffer.concat([
        extension(
          'x',
          paxRecords([
            ['GNU.sparse.size', '12'],
            ['GNU.sparse.numblocks', '2'],
            ['GNU.sparse.offset', '2'],
            ['GNU.sparse.numbytes', '3'],
            ['GNU.sparse.offset', '8'],
            ['GNU.sparse.numbytes', '2'],
          ]),
        ),
        header({ path: 's' }, 5),
        pad(latin1('abcde')),
      ]),
    ],
    [
      'PAX 0.1',
      entry({
        path: 'x',
        body: 'abcde',
        pax: { 'GNU.sparse.map': '2,3,8,2', 'GNU.sparse.size': '12', 'GNU.sparse.name': 's' },
      }),
    ],
    [
      'PAX 1.0',
      entry({
        path: 'x',
        body: Buffer.concat([pad(latin1('2\n2\n3\n8\n2\n')), latin1('abcde')]),
        pax: {
          'GNU.sparse.major': '1',
          'GNU.sparse.minor': '0',
          'GNU.sparse.realsize': '12',
          'GNU.sparse.name': 's',
        },
      }),
    ],
  ];
  it.each(sparseForms)('reads sparse files: %s', (_name, bytes) => {
    for (const chunkBytes of [1, 7, 512, 4096]) {
      expect(read(tar(bytes, file('after', 'x')), chunkBytes)).toMatchObject([
        { path: 's', sizeBytes: 12, storedBytes: 5, body: '\0\0abc\0\0\0de\0\0' },
        { path: 'after', body: 'x' },
      ]);
    }
  });

  it('ends at two zero blocks, or at the end of the bytes', () => {
    expect(read(Buffer.alloc(0))).toEqual([]);
    expect(read(END)).toEqual([]);
    expect(read(entry(file('a', 'x')))).toHaveLength(1);
    expect(read(Buffer.concat([entry(file('a')), Buffer.alloc(512)]))).toHaveLength(1);
    expect(read(Buffer.concat([tar(file('a')), latin1('garbage')]))).toHaveLength(1);
  });

  const invalid: ReadonlyArray<[name: string, bytes: Buffer]> = [
    ['a wrong checksum', tar(file('a', '', { badChecksum: true }))],
    ['data after one zero block', Buffer.concat([Buffer.alloc(512), tar(file('a'))])],
    ['an unknown type', tar({ path: 'a', type: 'V' })],
    ['a size that is no number', tar(file('a', '', { raw: { 124: 'zzzzzzzzzzzz' } }))],
    ['a number that ends in another', tar(file('a', '', { raw: { 124: '0000001 001\0' } }))],
    ['a negative size', tar(file('a', '', { size: -1 }))],
    ['a negative uid', tar(file('a', '', { uid: -1 }))],
    ['a uid beyond 32 bits', tar(file('a', '', { uid: 2 ** 32 }))],
    [
      'a size beyond 2^53',
      tar(file('a', '', { raw: { 124: '\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff' } })),
    ],
    ['a device major beyond 12 bits', tar({ path: 'c', type: '3', major: 4096 })],
    ['a device minor beyond 20 bits', tar({ path: 'c', type: '3', minor: 1048576 })],
    ['a link without a target', tar({ path: 'l', type: '2' })],
    ['a PAX uid beyond 32 bits', tar(file('a', '', { pax: { uid: '4294967296' } }))],
    ['a negative PAX size', tar(file('a', '', { pax: { size: '-1' } }))],
    ['a PAX size that is no number', tar(file('a', '', { pax: { size: '1e3' } }))],
    ['a PAX time that is no time', tar(file('a', '', { pax: { mtime: 'now' } }))],
    ['a NUL in a PAX path', tar(file('a', '', { pax: { path: 'a\0b' } }))],
    ['a NUL in a PAX linkpath', tar(symlink('l', 't', { pax: { linkpath: 'a\0b' } }))],
    ['a PAX record without a newline', tar(extension('x', latin1('9 path=ab')), file('a'))],
    ['a PAX record longer than its header', tar(extension('x', latin1('99 path=a\n')), file('a'))],
    ['a PAX record shorter than its length', tar(extension('x', latin1('2 path=a\n')), file('a'))],
    ['a PAX record without a key', tar(extension('x', latin1('5 =a\n')), file('a'))],
    ['a PAX record without an equals sign', tar(extension('x', latin1('6 abc\n')), file('a'))],
    ['an attribute without a name', tar(file('a', '', { pax: { 'SCHILY.xattr.': 'x' } }))],
    ['an extended header before the end', tar(extension('x', paxRecords({ path: 'a' })))],
    [
      'a sparse map out of order',
      tar({ path: 'x', body: 'abcde', pax: { 'GNU.sparse.map': '8,2,2,3', 'GNU.sparse.size': '12' } }),
    ],
    [
      'a sparse map that overlaps',
      tar({ path: 'x', body: 'abcde', pax: { 'GNU.sparse.map': '2,3,4,2', 'GNU.sparse.size': '12' } }),
    ],
    [
      'a sparse map beyond the file',
      tar({ path: 'x', body: 'abcde', pax: { 'GNU.sparse.map': '2,3,11,2', 'GNU.sparse.size': '12' } }),
    ],
    [
      'a sparse map of other bytes than stored',
      tar({ path: 'x', body: 'abcd', pax: { 'GNU.sparse.map': '2,3,8,2', 'GNU.sparse.size': '12' } }),
    ],
    ['a sparse file without a size', tar({ path: 'x', body: 'abc', pax: { 'GNU.sparse.map': '0,3' } })],
    [
      'half a sparse pair',
      tar({ path: 'x', body: 'abc', pax: { 'GNU.sparse.map': '0', 'GNU.sparse.size': '3' } }),
    ],
    [
      'sparse records out of order',
      tar(
        extension(
          'x',
          paxRecords([
            ['GNU.sparse.size', '3'],
            ['GNU.sparse.numbytes', '3'],
            ['GNU.sparse.offset', '0'],
          ]),
        ),
        file('a', 'abc'),
      ),
    ],
    [
      'a sparse map that promises more than it holds',
      tar({
        path: 'x',
        body: Buffer.concat([pad(latin1('999999999\n1\n'))]),
        pax: { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '12' },
      }),
    ],
  ];
  it.each(invalid)('refuses %s', (_name, bytes) => {
    expect(failure(bytes)).toMatchObject({
      code: 'TAR_INVALID',
      details: { offsetBytes: expect.any(Number) },
    });
  });

  it('names the entry and the place of what it refuses', () => {
    const bytes = tar(file('first', 'x'), file('dir/s\xc3\xbc', '', { uid: -1 }));
    expect(failure(bytes).details).toMatchObject({ path: 'dir/sü', offsetBytes: 1024 });
  });

  it('bounds extended headers before it reads them', () => {
    const lying = Buffer.concat([header({ path: 'x', type: 'x', size: 1024 * 1024 + 1 }, 0), END]);
    expect(failure(lying).code).toBe('TAR_INVALID');
    const largest = extension('x', paxRecords({ comment: 'c'.repeat(1024 * 1024 - 20) }));
    expect(read(tar(largest, file('a')))).toHaveLength(1);
  });

  it('reads the same whatever the chunks, and refuses every cut inside an entry', () => {
    const bytes = Buffer.concat([
      entry(dir('d')),
      entry(file(longPath, 'hello'.repeat(200), { pax: { 'SCHILY.xattr.user.x': '\0\xff' } })),
      entry(hardlink('l', 'd/f')),
    ]);
    const whole = read(bytes);
    for (const chunkBytes of [1, 2, 511, 512, 513, 1500]) expect(read(bytes, chunkBytes)).toEqual(whole);
    const boundaries = new Set([0, 512, 512 + 3 * 512 + 1024, bytes.byteLength]);
    for (let length = 0; length <= bytes.byteLength; length += 1) {
      const cut = bytes.subarray(0, length);
      if (boundaries.has(length)) expect(() => read(cut)).not.toThrow();
      else expect(failure(cut).code).toBe('TAR_TRUNCATED');
    }
  });

  it('lets a caller that can seek leave bodies out', () => {
    const bytes = tar(file('a', 'x'.repeat(1000)), file('b'), dir('d'), file('c', 'y'));
    const names: string[] = [];
    const reader = new TarReader({
      onEntry: ({ path }) => names.push(path),
      onData: () => names.push('data'),
      onFileEnd: () => names.push('end'),
    });
    for (let at = 0; at < bytes.byteLength; at += 512) {
      reader.push(bytes.subarray(at, at + 512));
      if (reader.pendingBytes === 0) continue;
      at += reader.pendingBytes;
      reader.skipPending();
    }
    reader.finish();
    expect(names).toEqual(['a', 'end', 'b', 'end', 'd/', 'c', 'end']);
  });

  it('throws only coded errors, whatever the bytes', () => {
    const valid = tar(
      file(longPath, 'abc', { pax: { mtime: '1.5', 'GNU.sparse.map': '0,3', 'GNU.sparse.size': '9' } }),
      symlink('l', 't'),
      dir('d'),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(valid.byteLength - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (changes, keepChecksums) => {
          const bytes = Buffer.from(valid);
          for (const [at, value] of changes) bytes[at] = value;
          if (keepChecksums) repairChecksums(bytes);
          try {
            read(bytes);
          } catch (error) {
            expect(HearthError.is(error)).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

/** Gives every block that looks like a header a right checksum, so that changes reach deeper. */
function repairChecksums(bytes: Buffer): void {
  for (let at = 0; at + 512 <= bytes.byteLength; at += 512) {
    const block = bytes.subarray(at, at + 512);
    if (block.toString('latin1', 257, 262) !== 'ustar') continue;
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  }
}
