import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutputRing } from './output-ring.js';

const ringOf = (capacity: number, ...pieces: string[]): OutputRing => {
  const ring = new OutputRing(capacity);
  for (const piece of pieces) ring.append(Buffer.from(piece));
  return ring;
};

describe('OutputRing', () => {
  it.each([
    ['nothing', ringOf(4), 0, 10, { text: '', cursor: 0, next: 0, lostBytes: 0 }],
    ['all', ringOf(4, 'ab', 'cd'), 0, 10, { text: 'abcd', cursor: 0, next: 4, lostBytes: 0 }],
    ['the middle', ringOf(4, 'ab', 'cd'), 1, 2, { text: 'bc', cursor: 1, next: 3, lostBytes: 0 }],
    ['no bytes', ringOf(4, 'ab'), 1, 0, { text: '', cursor: 1, next: 1, lostBytes: 0 }],
    ['what is kept', ringOf(4, 'abc', 'def'), 0, 10, { text: 'cdef', cursor: 2, next: 6, lostBytes: 2 }],
    ['of one long piece', ringOf(4, 'abcdefgh'), 0, 10, { text: 'efgh', cursor: 4, next: 8, lostBytes: 4 }],
    ['nothing at the end', ringOf(4, 'ab'), 2, 10, { text: '', cursor: 2, next: 2, lostBytes: 0 }],
    ['nothing past the end', ringOf(4, 'ab'), 99, 10, { text: '', cursor: 2, next: 2, lostBytes: 0 }],
  ])('gives %s', (_name, ring, cursor, maxBytes, wanted) => {
    const { bytes, ...rest } = ring.read(cursor, maxBytes);
    expect({ text: bytes.toString(), ...rest }).toEqual(wanted);
  });

  it('goes on where a gap ends, and never back', () => {
    const ring = ringOf(4, 'ab');
    ring.skipTo(1);
    expect(ring.end).toBe(2);
    ring.skipTo(10);
    ring.append(Buffer.from('x'));
    expect(ring.read(0, 9)).toMatchObject({ cursor: 10, next: 11, lostBytes: 10 });
  });

  it('keeps the last bytes of any output, whatever its pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 9 }), { maxLength: 600 }), (pieces) => {
        const all = Buffer.from(pieces.join(''));
        const { bytes, next } = ringOf(50, ...pieces).read(0, 1000);
        expect(bytes).toEqual(all.subarray(Math.max(0, all.byteLength - 50)));
        expect(next).toBe(all.byteLength);
      }),
    );
  });
});
