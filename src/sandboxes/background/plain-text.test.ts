import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { incompleteCharacter, plainText } from './plain-text.js';

const plain = (text: string, isLast = false): [string, number] => {
  const { text: shown, pendingBytes } = plainText(Buffer.from(text), isLast);
  return [shown, pendingBytes];
};

describe('plainText', () => {
  it.each([
    ['nothing', '', '', 0],
    ['text', 'one\ntwo\n', 'one\ntwo\n', 0],
    ['lines of a terminal', 'one\r\ntwo\r\n', 'one\ntwo\n', 0],
    ['colours', '\x1b[1;31mred\x1b[0m', 'red', 0],
    ['a title', '\x1b]0;title\x07$ ', '$ ', 0],
    ['a title that ends with ESC \\', '\x1b]0;title\x1b\\$ ', '$ ', 0],
    ['a device control string', '\x1bPabc\x1b\\x', 'x', 0],
    ['a character set', '\x1b(Bx', 'x', 0],
    ['a private mode', '\x1b[?2004h$ ls', '$ ls', 0],
    ['what a carriage return overwrites', '10%\r50%\r100%\n', '100%\n', 0],
    ['the rest of a longer line', 'abcdef\rxy\n', 'xycdef\n', 0],
    ['backspaces', 'lz\bs\n', 'ls\n', 0],
    ['a backspace at the edge', '\bx', 'x', 0],
    ['tabs', 'a\tb', 'a       b', 0],
    ['a bell', 'x\x07', 'x', 0],
    ['C1 controls', 'x\u009by', 'xy', 0],
    ['wide characters', 'für 東京', 'für 東京', 0],
    ['a sequence that a line feed breaks', '\x1b[3\nx', '\nx', 0],
    ['a lone escape', '\x1b\x01x', 'x', 0],
  ])('shows %s', (_name, from, text, pendingBytes) => {
    expect(plain(from)).toEqual([text, pendingBytes]);
  });

  it.each([
    ['a control sequence', 'x\x1b[1;3', 'x', 5],
    ['a lone escape', 'x\x1b', 'x', 1],
    ['a title', 'x\x1b]0;ti', 'x', 6],
  ])('waits for the rest of %s, unless nothing follows', (_name, from, text, pendingBytes) => {
    expect(plain(from)).toEqual([text, pendingBytes]);
    expect(plain(from, true)).toEqual([text, 0]);
  });

  it('waits for the rest of a character', () => {
    const bytes = Buffer.from('aß').subarray(0, 2);
    expect(plainText(bytes, false)).toEqual({ text: 'a', pendingBytes: 1 });
    expect(plainText(bytes, true).text).toBe('a\ufffd');
  });

  it('gives up on a sequence without an end', () => {
    expect(plain(`\x1b]${'x'.repeat(5000)}`)).toEqual(['x'.repeat(5000), 0]);
  });

  it('leaves no control character in whatever a guest writes', () => {
    const control = /(?!\n)\p{Cc}/u;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isLast) => {
        const { text, pendingBytes } = plainText(bytes, isLast);
        expect(control.test(text)).toBe(false);
        expect(pendingBytes).toBeLessThanOrEqual(isLast ? 0 : bytes.byteLength);
      }),
    );
  });
});

describe('incompleteCharacter', () => {
  it.each([
    ['nothing', [], 0],
    ['a letter', [0x61], 0],
    ['the first of two', [0x61, 0xc3], 1],
    ['all of two', [0xc3, 0x9f], 0],
    ['the first of three', [0xe6], 1],
    ['two of three', [0xe6, 0x9d], 2],
    ['three of four', [0xf0, 0x9f, 0x98], 3],
    ['all of four', [0xf0, 0x9f, 0x98, 0x80], 0],
    ['no character', [0x80, 0x80, 0x80], 0],
  ])('of %s', (_name, bytes, wanted) => {
    expect(incompleteCharacter(Uint8Array.from(bytes))).toBe(wanted);
  });
});
