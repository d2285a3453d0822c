import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createExt4Image,
  type Ext4FileData,
  type Ext4ImageWriter,
  type Ext4Node,
} from '../../src/ext4/index.js';
import { CAN_MOUNT, Mounted } from './mounted.js';
import { build, debugfs, directory, expectClean, file, OPTIONS, run, Scratch } from './support.js';

const BLOCK = 4096;
const MIB = 2 ** 20;

function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16 || 1;
  }
  return bytes;
}

function dump(scratch: Scratch, image: string, path: string): Buffer {
  const out = scratch.file('dump');
  debugfs(image, `dump ${path} ${out}`);
  return readFileSync(out);
}

describe('a file body', () => {
  it.each([0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 5])(
    'of %d bytes comes back',
    (length) => {
      using scratch = new Scratch();
      const image = scratch.file('image');
      const body = noise(length);
      build(image, (writer) => {
        const before = file(writer.writeFile(noise(100, 2)));
        const data = writer.writeFile(body);
        return directory({ before, f: file(data), after: file(writer.writeFile(noise(5000, 3))) });
      });
      expectClean(image);
      expect(dump(scratch, image, '/f').equals(body)).toBe(true);
      expect(dump(scratch, image, '/before').equals(noise(100, 2))).toBe(true);
      expect(dump(scratch, image, '/after').equals(noise(5000, 3))).toBe(true);
    },
  );

  it('arrives in any pieces, holes and zeros among them', () => {
    const piece = fc.oneof(
      fc.record({ bytes: fc.constantFrom(1, 100, 4095, 4096, 4097, 12_288, 20_000), zero: fc.boolean() }),
      fc.record({ skip: fc.constantFrom(0, 1, 4095, 4096, 4097, 50_000) }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(piece, { maxLength: 8 }), { minLength: 1, maxLength: 4 }), (files) => {
        using scratch = new Scratch();
        const image = scratch.file('image');
        const bodies: Buffer[] = [];
        build(image, (writer) => {
          const nodes = files.map((pieces, i): [string, Ext4Node] => {
            const parts: Buffer[] = [];
            writer.beginFile();
            for (const part of pieces) {
              if ('skip' in part) {
                parts.push(Buffer.alloc(part.skip));
                writer.skip(part.skip);
              } else {
                const chunk = part.zero ? Buffer.alloc(part.bytes) : noise(part.bytes, i + part.bytes);
                parts.push(Buffer.from(chunk));
                writer.write(chunk);
                chunk.fill(0x77); // the caller's own again
              }
            }
            const body = Buffer.concat(parts);
            bodies.push(body);
            const data = writer.endFile();
            expect(data.sizeBytes).toBe(body.byteLength);
            for (let block = 0; block * BLOCK < body.byteLength; block++) {
              const isZero = body.subarray(block * BLOCK, (block + 1) * BLOCK).every((byte) => byte === 0);
              expect(covers(data, block)).toBe(!isZero);
            }
            return [`f${i}`, file(data)];
          });
          return directory(Object.fromEntries(nodes));
        });
        expectClean(image);
        bodies.forEach((body, i) => {
          expect(dump(scratch, image, `/f${i}`).equals(body)).toBe(true);
        });
      }),
      { numRuns: 40 },
    );
  });

  it('that is discarded leaves its blocks to the next one while it is in memory', () => {
    using scratch = new Scratch();
    using writer = createExt4Image(scratch.file('image'));
    const kept = writer.writeFile(noise(5000));
    writer.discard(writer.writeFile(noise(100_000)));
    const next = writer.writeFile(noise(7000, 2));
    expect(next.extents[1]).toBe((kept.extents[1] ?? 0) + 2);
    const large = writer.writeFile(noise(5 * MIB));
    writer.discard(large);
    const early = writer.writeFile(noise(100, 3));
    const late = writer.writeFile(noise(100, 4));
    writer.discard(early);
    expect(writer.writeFile(noise(1)).extents[1]).toBe((late.extents[1] ?? 0) + 1);
    expect(early.extents[1]).toBe((large.extents[1] ?? 0) + 5 * 256);
    writer.discard(kept);
    const summary = writer.finish(directory({ next: file(next), late: file(late) }), OPTIONS);
    expect(summary.contentBytes).toBe(3 * BLOCK);
    expectClean(scratch.file('image'));
    expect(dump(scratch, scratch.file('image'), '/next').equals(noise(7000, 2))).toBe(true);
  });

  it.each(['first', 'last', 'every other', 'all', 'none'])(
    'that the tree does not name is free space (%s)',
    (which) => {
      using scratch = new Scratch();
      const image = scratch.file('image');
      const isKept = (i: number): boolean => {
        if (which === 'first') return i > 0;
        if (which === 'last') return i < 9;
        if (which === 'every other') return i % 2 === 1;
        return which === 'none';
      };
      const summary = build(image, (writer) => {
        const data = Array.from({ length: 10 }, (_, i) => writer.writeFile(noise(20_000, i + 1)));
        return directory(
          Object.fromEntries(data.flatMap((one, i) => (isKept(i) ? [[`f${i}`, file(one)]] : []))),
        );
      });
      expectClean(image);
      const kept = Array.from({ length: 10 }, (_, i) => i).filter(isKept);
      expect(summary.contentBytes).toBe(kept.length * 5 * BLOCK);
      for (const i of kept) expect(dump(scratch, image, `/f${i}`).equals(noise(20_000, i + 1))).toBe(true);
    },
  );

  it('belongs to one file, and lies where the writer has put it', () => {
    using scratch = new Scratch();
    const refused = expect.objectContaining({ code: 'INTERNAL' });
    const attempt = (name: string, data: (writer: Ext4ImageWriter) => Ext4FileData[]): (() => void) => {
      return () =>
        void build(scratch.file(name), (writer) =>
          directory(Object.fromEntries(data(writer).map((one, i) => [`f${i}`, file(one)]))),
        );
    };
    const twice = (writer: Ext4ImageWriter): Ext4FileData[] => {
      const data = writer.writeFile(noise(9000));
      return [data, data];
    };
    expect(attempt('a', twice)).toThrow(refused);
    expect(attempt('b', () => [{ sizeBytes: 1, extents: [0, 5, 1] }])).toThrow(refused);
    expect(attempt('c', () => [{ sizeBytes: 1, extents: [0, 9999, 1] }])).toThrow(refused);
    expect(
      attempt('d', (writer) => [
        { sizeBytes: 1, extents: [0, writer.writeFile(noise(1)).extents[1] ?? 0, 2] },
      ]),
    ).toThrow(refused);
  });

  it('is begun once and ended once', () => {
    using scratch = new Scratch();
    const refused = expect.objectContaining({ code: 'INTERNAL' });
    using writer = createExt4Image(scratch.file('image'));
    expect(() => writer.write(noise(1))).toThrow(refused);
    expect(() => writer.endFile()).toThrow(refused);
    writer.beginFile();
    expect(() => writer.beginFile()).toThrow(refused);
    expect(() => writer.finish(directory(), OPTIONS)).toThrow(refused);
  });
});

function covers(data: Ext4FileData, block: number): boolean {
  for (let i = 0; i < data.extents.length; i += 3) {
    const first = data.extents[i] ?? 0;
    if (block >= first && block < first + (data.extents[i + 2] ?? 0)) return true;
  }
  return false;
}

/** Writes `runs` single blocks, each after a hole of one block. */
function scattered(writer: Ext4ImageWriter, runs: number): Ext4FileData {
  writer.beginFile();
  const block = Buffer.alloc(BLOCK);
  for (let i = 0; i < runs; i++) {
    writer.skip(BLOCK);
    block.writeUInt32LE(i + 1);
    writer.write(block);
  }
  return writer.endFile();
}

describe('an extent tree', () => {
  it.each([
    [4, 0],
    [5, 1],
    [340, 1],
    [341, 1],
    [4 * 340, 1],
    [4 * 340 + 1, 2],
    [10_000, 2],
  ])('of %d extents has depth %d', (runs, depth) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, (writer) =>
      directory({ f: file(scattered(writer, runs)), g: file(writer.writeFile(noise(9))) }),
    );
    expectClean(image);
    expect(debugfs(image, 'ex /f')).toMatch(new RegExp(`^ *0/ *${depth} `, 'm'));
    const body = dump(scratch, image, '/f');
    expect(body.byteLength).toBe(runs * 2 * BLOCK);
    for (let i = 0; i < runs; i++) expect(body.readUInt32LE((2 * i + 1) * BLOCK)).toBe(i + 1);
  });

  it('reaches the last byte that ext4 can address', () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const largest = (2 ** 32 - 1) * BLOCK;
    const sparse = (writer: Ext4ImageWriter, sizeBytes: number): Ext4Node => {
      writer.beginFile();
      writer.write(noise(5000));
      writer.skip(sizeBytes - 5000 - 6000);
      writer.write(noise(6000, 2));
      return file(writer.endFile());
    };
    const summary = build(image, (writer) =>
      directory({ huge: sparse(writer, 300 * 2 ** 30 + 1), largest: sparse(writer, largest) }),
    );
    expectClean(image);
    expect(summary.sizeBytes).toBe(2 ** 30);
    expect(debugfs(image, 'stat /largest')).toContain(`Size: ${largest}`);
    if (!CAN_MOUNT) return;
    using mounted = new Mounted(image, 'ro');
    for (const [name, sizeBytes] of [
      ['huge', 300 * 2 ** 30 + 1],
      ['largest', largest],
    ] as const) {
      const path = `${mounted.path}/${name}`;
      expect(statSync(path).size).toBe(sizeBytes);
      const tail = Buffer.from(run('tail', ['-c', '6001', path]), 'latin1');
      expect(tail.equals(Buffer.concat([Buffer.alloc(1), noise(6000, 2)]))).toBe(true);
      expect(
        Buffer.from(run('head', ['-c', '5001', path]), 'latin1').equals(
          Buffer.concat([noise(5000), Buffer.alloc(1)]),
        ),
      ).toBe(true);
    }
  });
});

describe('data beyond the first block groups', () => {
  it('steps over the copies of the superblock', { timeout: 120_000 }, () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    // Groups 1 and 3 have copies; 500 MiB reach into group 4.
    const chunk = randomBytes(10 * MIB);
    const hash = createHash('sha256');
    const summary = build(image, (writer) => {
      writer.beginFile();
      for (let i = 0; i < 50; i++) {
        chunk.writeUInt32LE(i);
        writer.write(chunk);
        hash.update(chunk);
      }
      const data = writer.endFile();
      expect(data.extents.filter((_, i) => i % 3 === 0)).toHaveLength(3);
      return directory({ big: file(data), small: file(writer.writeFile(noise(10))) });
    });
    expectClean(image);
    expect(summary.contentBytes).toBe(500 * MIB + BLOCK);
    expect(summary.writtenBytes).toBeLessThan(503 * MIB);
    expect(
      createHash('sha256')
        .update(dump(scratch, image, '/big'))
        .digest('hex'),
    ).toBe(hash.digest('hex'));
  });
});
