import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutputCapture } from './output-capture.js';

describe('OutputCapture', () => {
  it.each([
    [0, 'no bytes', ''],
    [8, 'fewer than the limit', 'abcdefgh'],
    [9, 'the limit', 'abcdefghi'],
  ])('keeps %d bytes, %s', async (length, _what, text) => {
    const capture = new OutputCapture(9);
    await capture.push(Buffer.from('abcdefghi'.slice(0, length)));
    expect([capture.text(), capture.truncated, capture.totalBytes]).toEqual([text, false, length]);
  });

  it('keeps a third from the beginning and the rest from the end', async () => {
    const capture = new OutputCapture(9);
    await capture.push(Buffer.from('abcdefghij'));
    expect([capture.text(), capture.truncated]).toEqual(['abc\n[… 1 bytes left out …]\nefghij', true]);
  });

  it('hands over every byte once it is too long, however it comes', async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(chunks, fc.integer({ min: 3, max: 40 }), async (pieces, limit) => {
        const sunk: Buffer[] = [];
        let opened = 0;
        const capture = new OutputCapture(limit, () => {
          opened += 1;
          return { write: async (chunk) => void sunk.push(Buffer.from(chunk)) };
        });
        for (const piece of pieces) await capture.push(Buffer.from(piece));
        const all = Buffer.concat(pieces);
        expect(capture.truncated).toBe(all.byteLength > limit);
        expect(opened).toBe(capture.truncated ? 1 : 0);
        expect(Buffer.concat(sunk).equals(capture.truncated ? all : Buffer.alloc(0))).toBe(true);
      }),
    );
  });
});
