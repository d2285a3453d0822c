import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../../src/errors/index.js';
import type { Ext4Directory, Ext4ImageWriter } from '../../src/ext4/index.js';
import { CAN_MOUNT, Mounted } from './mounted.js';
import { build, debugfs, directory, EMPTY, expectClean, file, OPTIONS, run, Scratch } from './support.js';

const MIB = 2 ** 20;
const GROUP = 128 * MIB;
const GIB = 2 ** 30;

const small = (writer: Ext4ImageWriter): Ext4Directory =>
  directory({ d: directory({ f: file(writer.writeFile(Buffer.alloc(10_000, 'x'))) }) });

/** What `build` says is the least size for this tree. */
function minimumOf(scratch: Scratch, fill: (writer: Ext4ImageWriter) => Ext4Directory): number {
  try {
    build(scratch.file('minimum'), fill, { sizeBytes: 0 });
  } catch (error) {
    if (HearthError.is(error) && error.code === 'ROOTFS_TOO_SMALL') {
      expect((error as HearthError).details).toMatchObject({ sizeBytes: 0 });
      return (error as HearthError).details.minimumBytes as number;
    }
    throw error;
  }
  throw new Error('0 bytes were enough');
}

/** The first block of the journal, in hex. */
function journalHeader(scratch: Scratch, image: string): string {
  const block = /\(0-\d+\):(\d+)-/.exec(debugfs(image, 'stat <8>'))?.[1];
  const header = scratch.file('header');
  run('dd', [`if=${image}`, `of=${header}`, 'bs=4096', `skip=${block}`, 'count=1', 'status=none']);
  return readFileSync(header)
    .toString('hex')
    .replace(/(00)*$/, '');
}

describe('an image size', () => {
  const sizes = [
    16 * MIB,
    GROUP - 4096,
    GROUP,
    GROUP + 4096,
    GROUP + MIB,
    GROUP + 3 * MIB,
    GROUP + 5 * MIB,
    GROUP + 8 * MIB,
    2 * GROUP - 4096,
    2 * GROUP,
    2 * GROUP + 4096,
    3 * GROUP + 4096,
    3 * GROUP + 20 * MIB,
    7 * GROUP + 12_345,
    GIB - 4096,
    GIB + 4096,
    9 * GROUP + 777 * 4096,
    16 * GROUP - 4096,
    16 * GROUP + 4096,
    16 * GROUP + 9 * MIB,
    10 * GIB + 5 * MIB,
    25 * GROUP + 70 * MIB,
  ];
  it.each(sizes)('of %d bytes is clean', (sizeBytes) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const summary = build(image, small, { sizeBytes });
    expectClean(image);
    expect(statSync(image).size).toBe(sizeBytes - (sizeBytes % 4096));
    expect(summary.sizeBytes).toBe(sizeBytes - (sizeBytes % 4096));
    const header = run('dumpe2fs', ['-h', image]);
    expect(header).toMatch(new RegExp(`^Block count: +${summary.blockCount}$`, 'm'));
    expect(header).toMatch(new RegExp(`^Free blocks: +${summary.freeBlockCount}$`, 'm'));
    expect(header).toMatch(new RegExp(`^Inode count: +${summary.inodeCount}$`, 'm'));
    expect(header).toMatch(new RegExp(`^Free inodes: +${summary.freeInodeCount}$`, 'm'));
    expect(summary.inodeCount * 16_384).toBeGreaterThanOrEqual(summary.blockCount * 4096);
    // The host may need a block or two of its own to say where the holes are.
    expect(statSync(image).blocks * 512).toBeLessThanOrEqual(summary.writtenBytes + 65_536);
    // Whatever is left out at the end is less than its own metadata would take.
    expect(summary.sizeBytes - summary.blockCount * 4096).toBeLessThan(16 * MIB);
  });

  it('may be 8 TiB, and cost next to nothing', { timeout: 120_000 }, () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    for (const sizeBytes of [500 * GIB + 4096 * 99_999, 8 * 1024 * GIB]) {
      const summary = build(`${image}-${sizeBytes}`, small, { sizeBytes });
      expectClean(`${image}-${sizeBytes}`);
      expect(summary.writtenBytes).toBeLessThan(sizeBytes / 2 ** 14);
    }
  });

  it('has a journal as mke2fs would choose it', () => {
    using scratch = new Scratch();
    for (const [sizeBytes, journalMib] of [
      [64 * MIB, 4],
      [512 * MIB, 16],
      [GIB, 32],
      [2 * GIB, 64],
      [16 * GIB, 128],
      [128 * GIB, 1024],
    ] as const) {
      const image = scratch.file(`image-${sizeBytes}`);
      build(image, small, { sizeBytes });
      expectClean(image);
      expect(debugfs(image, 'stat <8>')).toContain(`Size: ${journalMib * MIB}`);
      const peer = scratch.file('peer');
      run('truncate', ['-s', `${sizeBytes}`, peer]);
      run('mke2fs', [
        '-q',
        '-F',
        '-t',
        'ext4',
        '-b',
        '4096',
        '-U',
        '10111213-1415-1617-1819-1a1b1c1d1e1f',
        peer,
      ]);
      expect(debugfs(peer, 'stat <8>')).toContain(`Size: ${journalMib * MIB}`);
      expect(journalHeader(scratch, image)).toBe(journalHeader(scratch, peer));
      run('rm', [peer]);
    }
  });

  it.each([-1, Number.NaN, 8 * 1024 * GIB + 4096])('of %d bytes is refused', (sizeBytes) => {
    using scratch = new Scratch();
    expect(() => build(scratch.file('image'), small, { sizeBytes })).toThrow(
      expect.objectContaining({ code: 'SIZE_INVALID' }),
    );
  });
});

describe('the default size', () => {
  it('is 1 GiB for little content', () => {
    using scratch = new Scratch();
    expect(build(scratch.file('image'), small).sizeBytes).toBe(GIB);
  });

  it('is a quarter more than much content', { timeout: 120_000 }, () => {
    using scratch = new Scratch();
    const chunk = Buffer.alloc(10 * MIB, 1);
    const summary = build(scratch.file('image'), (writer) => {
      writer.beginFile();
      for (let i = 0; i < 90; i++) writer.write(chunk);
      return directory({ f: file(writer.endFile()) });
    });
    expectClean(scratch.file('image'));
    expect(summary.sizeBytes).toBeGreaterThan(900 * MIB * 1.25);
    expect(summary.sizeBytes).toBeLessThan(901 * MIB * 1.25);
  });

  it('has an inode for every file and some more', () => {
    using scratch = new Scratch();
    const children = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`n${i}`, file(EMPTY)]));
    const summary = build(scratch.file('image'), () => directory(children));
    expectClean(scratch.file('image'));
    expect(summary.sizeBytes).toBe(GIB);
    expect(summary.freeInodeCount).toBeGreaterThan(8000);
  });

  it('grows when the inodes ask for it', () => {
    using scratch = new Scratch();
    const children = Object.fromEntries(Array.from({ length: 300_000 }, (_, i) => [`n${i}`, file(EMPTY)]));
    const summary = build(scratch.file('image'), () => directory(children));
    expectClean(scratch.file('image'));
    expect(summary.sizeBytes).toBeGreaterThan(GIB);
  });
});

describe('the least size that works', () => {
  const trees: Record<string, (writer: Ext4ImageWriter) => Ext4Directory> = {
    'nothing at all': () => directory(),
    'a small tree': small,
    '20,000 empty files': () =>
      directory({
        d: directory(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`n${i}`, file(EMPTY)]))),
      }),
    'discarded data': (writer) => {
      const data = Array.from({ length: 40 }, (_, i) => writer.writeFile(Buffer.alloc(MIB, i + 1)));
      return directory(
        Object.fromEntries(data.filter((_, i) => i % 3 === 0).map((one, i) => [`f${i}`, file(one)])),
      );
    },
    'data up to the end of group 0': (writer) =>
      directory({ f: file(writer.writeFile(Buffer.alloc(123 * MIB, 1))) }),
    'data into group 1': (writer) => directory({ f: file(writer.writeFile(Buffer.alloc(130 * MIB, 1))) }),
    'data into group 3': (writer) => directory({ f: file(writer.writeFile(Buffer.alloc(400 * MIB, 1))) }),
  };
  it.each(Object.keys(trees))('%s: works, and one block less does not', (name) => {
    using scratch = new Scratch();
    const fill = trees[name] ?? small;
    const minimumBytes = minimumOf(scratch, fill);
    for (const sizeBytes of [minimumBytes, minimumBytes + 4096, minimumBytes + 999 * 4096]) {
      const image = scratch.file(`image-${sizeBytes}`);
      build(image, fill, { sizeBytes });
      expectClean(image);
      run('rm', [image]);
    }
    for (const sizeBytes of [minimumBytes - 1, minimumBytes - 4096, 4096]) {
      const attempt = (): unknown => build(scratch.file(`less-${sizeBytes}`), fill, { sizeBytes });
      expect(attempt).toThrow(
        expect.objectContaining({ code: 'ROOTFS_TOO_SMALL', details: { sizeBytes, minimumBytes } }),
      );
    }
  });

  it('every size from there on works, in steps over the first group edges', { timeout: 200_000 }, () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const minimumBytes = minimumOf(scratch, small);
    expect(minimumBytes).toBeLessThan(16 * MIB);
    for (let sizeBytes = minimumBytes; sizeBytes < 300 * MIB; sizeBytes += 4096 * 997) {
      build(image, small, { sizeBytes });
      expectClean(image);
      run('rm', [image]);
    }
  });

  it.runIf(CAN_MOUNT)('is mounted by the kernel (needs root)', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, small, { sizeBytes: minimumOf(scratch, small) });
    {
      using mounted = new Mounted(image);
      expect(statSync(`${mounted.path}/d/f`).size).toBe(10_000);
    }
    expectClean(image);
  });
});

describe('options', () => {
  it.each([
    ['a uuid of 15 bytes', { uuid: new Uint8Array(15) }],
    ['a hash seed of 17 bytes', { hashSeed: new Uint8Array(17) }],
    ['a label of 17 bytes', { label: 'ééééééééa' }],
    ['half a second', { createdAt: { seconds: 0.5, nanoseconds: 0 } }],
  ])('%s is refused', (_name, options) => {
    using scratch = new Scratch();
    expect(() => build(scratch.file('image'), small, options)).toThrow(
      expect.objectContaining({ code: 'INTERNAL' }),
    );
  });

  it('are found in the image', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, small, { label: 'ééééééé1x', createdAt: { seconds: 2 ** 32 + 60, nanoseconds: 7 } });
    expectClean(image);
    const header = run('env', ['TZ=UTC', 'dumpe2fs', '-h', image]);
    expect(header).toContain(Buffer.from('ééééééé1x').toString('latin1'));
    expect(header).toMatch(/UUID: +10111213-1415-1617-1819-1a1b1c1d1e1f/);
    expect(OPTIONS.createdAt.seconds).toBeGreaterThan(0);
  });
});

describe('the output file', () => {
  it('is never one that exists', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, small);
    expect(() => build(image, small)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(() => build(scratch.file('no/such/directory'), small)).toThrow(
      expect.objectContaining({ code: 'FILE_NOT_FOUND' }),
    );
  });
});
