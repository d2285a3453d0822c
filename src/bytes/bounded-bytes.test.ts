import { describe, expect, it } from 'vitest';
import { BoundedBytes, encodeBytes, wholeCharacters } from './bounded-bytes.js';

describe('BoundedBytes', () => {
  it.each([
    ['abcd', 4, 'abcd', false],
    ['abcde', 4, 'abcd', true],
    ['abc', 0, '', true],
    ['', 0, '', false],
    // A character cut by the limit is left out; text stays text.
    ['aäb', 2, 'a', true],
    ['aäb', 3, 'aä', true],
    ['a€', 3, 'a', true],
    ['a😀', 4, 'a', true],
    ['a😀', 5, 'a😀', false],
  ])('of %j keeps at most %d bytes', (text, limit, kept, truncated) => {
    const bounded = new BoundedBytes(limit);
    for (const byte of Buffer.from(text)) bounded.push(Buffer.from([byte]));
    expect(bounded.encoded()).toEqual({ text: kept, encoding: 'utf8' });
    expect(bounded.truncated).toBe(truncated);
    expect(bounded.totalBytes).toBe(Buffer.byteLength(text));
  });

  it('keeps a copy', () => {
    const bytes = Buffer.from('abc');
    const bounded = new BoundedBytes(3);
    bounded.push(bytes);
    bytes.fill(0);
    expect(bounded.bytes().toString()).toBe('abc');
  });
});

describe('encodeBytes', () => {
  it.each([
    [[0x61], 'a', 'utf8'],
    [[0xff, 0x00], '/wA=', 'base64'],
    [[0xef, 0xbb, 0xbf], '\ufeff', 'utf8'],
  ])('%j', (bytes, text, encoding) => {
    expect(encodeBytes(Uint8Array.from(bytes))).toEqual({ text, encoding });
  });
});

describe('wholeCharacters', () => {
  it.each([
    [[], 0],
    [[0x61, 0xc3], 1],
    [[0x61, 0xc3, 0xa4], 3],
    [[0xe2, 0x82], 0],
    [[0xf0, 0x9f, 0x98], 0],
    // Not UTF-8 at all: nothing is waited for.
    [[0x80, 0x80, 0x80, 0x80], 4],
    [[0xff], 0],
  ])('%j', (bytes, whole) => {
    expect(wholeCharacters(Uint8Array.from(bytes))).toBe(whole);
  });
});
