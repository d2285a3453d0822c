import { describe, expect, it } from 'vitest';
import { CaptureStream } from './capture.js';

describe('CaptureStream', () => {
  it.each([
    [4, 'abcd', false],
    [5, 'abcde', false],
    [0, '', true],
    [2, 'ab', true],
  ])('keeps at most %d bytes', (limit, text, truncated) => {
    const stream = new CaptureStream(limit);
    const word = limit === 4 ? 'abcd' : 'abcde';
    stream.write(word.slice(0, 3));
    stream.end(word.slice(3));
    expect([stream.encoded().text, stream.truncated, stream.totalBytes]).toEqual([
      text,
      truncated,
      word.length,
    ]);
  });

  it('gives bytes that are not UTF-8 as base64', () => {
    const stream = new CaptureStream(10);
    stream.end(Buffer.from([0xff, 0x00]));
    expect(stream.encoded()).toEqual({ text: '/wA=', encoding: 'base64' });
  });

  it('keeps a copy, because its writer reuses buffers', () => {
    const stream = new CaptureStream(10);
    const bytes = Buffer.from('abc');
    stream.write(bytes);
    bytes.fill(0);
    expect(stream.encoded().text).toBe('abc');
  });
});
