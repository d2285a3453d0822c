import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { expandLz4Legacy } from './lz4-legacy.js';

function frame(...blocks: readonly (readonly number[])[]): Uint8Array {
  const sized = blocks.map((block) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(block.length);
    return Buffer.concat([size, Buffer.from(block)]);
  });
  return Buffer.concat([Buffer.from([0x02, 0x21, 0x4c, 0x18]), ...sized]);
}
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const codes = (string: string): number[] => [...Buffer.from(string, 'latin1')];

describe('expandLz4Legacy', () => {
  const valid: ReadonlyArray<[name: string, input: Uint8Array, expanded: string]> = [
    ['nothing', frame(), ''],
    ['literals', frame([0x30, ...codes('abc')]), 'abc'],
    ['15 literals: one more length byte', frame([0xf0, 0, ...codes('x'.repeat(15))]), 'x'.repeat(15)],
    ['270 literals: two more', frame([0xf0, 255, 0, ...codes('x'.repeat(270))]), 'x'.repeat(270)],
    ['a match that does not overlap', frame([0x40, ...codes('abcd'), 4, 0, 0x10, 0x65]), 'abcdabcde'],
    ['a match that repeats one byte', frame([0x13, 0x61, 1, 0, 0x00]), 'a'.repeat(8)],
    ['a match of 19: one more length byte', frame([0x1f, 0x61, 1, 0, 0, 0x00]), 'a'.repeat(20)],
    ['a block that ends with its match', frame([0x10, 0x61, 1, 0]), 'a'.repeat(5)],
    ['two blocks', frame([0x10, 0x61], [0x10, 0x62]), 'ab'],
    ['a second magic number between blocks', Buffer.concat([frame([0x10, 0x61]), frame([0x10, 0x62])]), 'ab'],
    [
      'four bytes of size after the end',
      Buffer.concat([frame([0x10, 0x61]), Buffer.from([1, 0, 0, 0])]),
      'a',
    ],
  ];
  it.each(valid)('expands %s', (_name, input, expanded) => {
    expect(text(expandLz4Legacy(input, expanded.length))).toBe(expanded);
  });

  const malformed: ReadonlyArray<[name: string, input: Uint8Array, expandedBytes: number]> = [
    ['empty input', new Uint8Array(0), 1],
    ['the magic alone', frame(), 1],
    ['a modern frame', Buffer.from('04224d1800000000', 'hex'), 1],
    ['an empty block', frame([]), 1],
    ['a block past the end', frame([0x10, 0x61]).subarray(0, 9), 1],
    ['literals past the block', frame([0x20, 0x61]), 2],
    ['a length without end', frame([0xf0, 255]), 300],
    ['a match cut short', frame([0x10, 0x61, 1]), 5],
    ['distance 0', frame([0x10, 0x61, 0, 0]), 5],
    ['a match before the start', frame([0x10, 0x61, 2, 0]), 5],
    ['a match into the block before', frame([0x10, 0x61], [0x10, 0x62, 2, 0]), 6],
    ['more literals than announced', frame([0x20, 0x61, 0x62]), 1],
    ['a longer match than announced', frame([0x10, 0x61, 1, 0]), 4],
    ['less than announced', frame([0x10, 0x61]), 2],
  ];
  it.each(malformed)('refuses %s', (_name, input, expandedBytes) => {
    expect(() => expandLz4Legacy(input, expandedBytes)).toThrow(
      expect.objectContaining({ code: 'COMPRESSION_INVALID' }),
    );
  });

  it('survives any bytes: the announced size or a coded error', () => {
    const body = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(body, fc.nat(500), (bytes, expandedBytes) => {
        try {
          expect(expandLz4Legacy(frame([...bytes]), expandedBytes).byteLength).toBe(expandedBytes);
        } catch (error) {
          expect(HearthError.is(error) && error.code).toBe('COMPRESSION_INVALID');
        }
      }),
      { numRuns: 2000 },
    );
  });
});
