import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeText, guestText } from './guest-text.js';

describe('guestText', () => {
  it.each([
    ['colour', '\u001b[1;31mred\u001b[0m', 'red'],
    ['a title', 'a\u001b]0;title\u0007b', 'ab'],
    ['a clipboard write, ended by ST', 'a\u001b]52;c;eA==\u001b\\b', 'ab'],
    ['a sequence that does not end', 'a\u001b]0;title', 'a\\x1b]0;title'],
    ['an 8-bit CSI', 'a\u009b31mb', 'a\\x9b31mb'],
    ['line ends', 'a\r\nb\rc\n', 'a\nb\nc\n'],
    ['tab and newline', 'a\tb\n', 'a\tb\n'],
    ['bell, NUL, DEL', '\u0007\u0000\u007f', '\\x07\\x00\\x7f'],
    ['turned text', 'a\u202eb', 'a\\u{202e}b'],
    ['invisible tags', `a${String.fromCodePoint(0xe0041)}b`, 'a\\u{e0041}b'],
    ['other scripts', 'ü 漢 🙂', 'ü 漢 🙂'],
  ])('shows %s', (_what, written, expected) => {
    expect(guestText(written)).toBe(expected);
  });

  it('leaves nothing that a terminal would act on', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be left
        expect(guestText(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });
});

describe('decodeText', () => {
  const bytes = Buffer.from('ü漢🙂');

  it.each([
    [0, 9, 'ü漢🙂'],
    [1, 9, '漢🙂'],
    [3, 9, '🙂'],
    [0, 8, 'ü漢'],
    [0, 6, 'ü漢'],
    [0, 4, 'ü'],
    [0, 1, ''],
    [0, 0, ''],
  ])('leaves out the parts of characters at the cuts %d and %d', (from, to, expected) => {
    expect(decodeText(bytes.subarray(from, to), { begin: true, end: true })).toBe(expected);
  });

  it('drops no byte of what is whole', () => {
    expect(decodeText(Buffer.from([0x80, 0x41, 0xe2]))).toBe('\ufffdA\ufffd');
  });
});
