import { describe, expect, it } from 'vitest';
import { encodeAcl } from './acl.js';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('encodeAcl', () => {
  it.each([
    [
      'owner, group, others',
      '02000000 01000600ffffffff 04000400ffffffff 20000400ffffffff',
      '01000000 01000600 04000400 20000400',
    ],
    [
      'a named user and group with a mask',
      '02000000 01000700ffffffff 02000600e8030000 04000500ffffffff 08000400feffffff 10000700ffffffff 20000000ffffffff',
      '01000000 01000700 02000600e8030000 04000500 08000400feffffff 10000700 20000000',
    ],
    ['no entries', '02000000', ''],
  ])('%s', (_name, value, expected) => {
    expect(Buffer.from(encodeAcl(hex(value)) ?? []).toString('hex')).toBe(expected.replaceAll(' ', ''));
  });

  it.each([
    '',
    '0200',
    '01000000',
    '03000000',
    '02000000 01',
    '02000000 0100060000',
    '02000000 40000600ffffffff',
  ])('refuses %j', (value) => {
    expect(encodeAcl(hex(value))).toBeUndefined();
  });

  it('takes a value in the middle of a buffer', () => {
    const value = hex('ffffff 02000000 01000600ffffffff').subarray(3);
    expect(Buffer.from(encodeAcl(value) ?? []).toString('hex')).toBe('0100000001000600');
  });
});
