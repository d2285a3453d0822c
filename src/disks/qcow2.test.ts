import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import {
  encodeQcow2Overlay,
  encodeVirtualSize,
  parseQcow2Header,
  QCOW2_VIRTUAL_SIZE_OFFSET,
  wholeSectors,
} from './qcow2.js';

const GIB = 1024 ** 3;

function headerOf(sizeBytes: number): Uint8Array {
  return encodeQcow2Overlay('/base', 'raw', sizeBytes).segments[0]!.bytes;
}

describe('encodeQcow2Overlay', () => {
  it.each([
    [0, 0],
    [1, 512],
    [511, 512],
    [512, 512],
    [513, 1024],
    [32 * GIB, 32 * GIB],
    [4096 * GIB, 4096 * GIB],
    [4096 * GIB + 1, 4096 * GIB + 512],
  ])('a disk of %d bytes has %d', (asked, virtualSizeBytes) => {
    const overlay = encodeQcow2Overlay('/base', 'raw', asked);
    expect(overlay.virtualSizeBytes).toBe(virtualSizeBytes);
    expect(parseQcow2Header(overlay.segments[0]!.bytes, 'p')).toMatchObject({ virtualSizeBytes });
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60])('refuses a size of %d', (sizeBytes) => {
    expect(() => encodeQcow2Overlay('/base', 'raw', sizeBytes)).toThrowError(
      expect.objectContaining({ code: 'SIZE_INVALID' }),
    );
  });

  it('holds a backing path of 1023 bytes, counted in UTF-8, and not of 1024', () => {
    const longest = `/${'é'.repeat(511)}`;
    const { segments } = encodeQcow2Overlay(longest, 'raw', GIB);
    const header = Buffer.from(segments[0]!.bytes);
    const offset = Number(header.readBigUInt64BE(8));
    expect(header.subarray(offset, offset + header.readUInt32BE(16)).toString()).toBe(longest);
    expect(() => encodeQcow2Overlay(`${longest}x`, 'raw', GIB)).toThrowError(
      expect.objectContaining({ code: 'PATH_TOO_LONG', details: { pathBytes: 1024, maxBytes: 1023 } }),
    );
  });

  it('grows by its size field alone', () => {
    const header = Buffer.from(headerOf(GIB));
    header.set(encodeVirtualSize(32 * GIB), QCOW2_VIRTUAL_SIZE_OFFSET);
    expect(header.equals(headerOf(32 * GIB))).toBe(true);
  });
});

describe('parseQcow2Header', () => {
  const broken: [string, (header: Buffer) => Uint8Array][] = [
    ['nothing', () => new Uint8Array()],
    ['103 bytes', (header) => header.subarray(0, 103)],
    ['another magic number', (header) => header.fill(0, 0, 1)],
    ['version 4', (header) => header.fill(4, 7, 8)],
    ['clusters of 2^22 bytes', (header) => header.fill(22, 23, 24)],
    ['a size beyond 2^53', (header) => header.fill(0xff, 24, 32)],
    ['a size beyond its L1 table', (header) => header.fill(0, 36, 40)],
  ];
  it.each(broken)('refuses %s', (_what, damage) => {
    expect(() => parseQcow2Header(damage(Buffer.from(headerOf(GIB))), '/p')).toThrowError(
      expect.objectContaining({ code: 'DISK_FORMAT_INVALID' }),
    );
  });

  it('throws nothing but coded errors for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 96, maxLength: 128 }), (bytes) => {
        bytes.set([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);
        try {
          const { virtualSizeBytes, maxVirtualSizeBytes } = parseQcow2Header(bytes, '/p');
          expect(virtualSizeBytes).toBeLessThanOrEqual(maxVirtualSizeBytes);
        } catch (error) {
          expect(HearthError.is(error) && error.code).toBe('DISK_FORMAT_INVALID');
        }
      }),
    );
  });

  it('reads back every size that was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 51 }), (sizeBytes) => {
        expect(parseQcow2Header(headerOf(sizeBytes), '/p').virtualSizeBytes).toBe(wholeSectors(sizeBytes));
      }),
    );
  });
});
