import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { updateCrc32c } from './crc32c.js';

const crc32c = (bytes: Uint8Array): number => ~updateCrc32c(~0, bytes) >>> 0;

/** The definition, one bit at a time. */
function slowly(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('updateCrc32c', () => {
  it.each([
    ['nothing', new Uint8Array(0), 0],
    ['"123456789"', Buffer.from('123456789'), 0xe3069283],
    // RFC 3720, B.4
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['counting up', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['counting down', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ])('%s', (_name, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it('agrees with the definition, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cutAt) => {
        const cut = Math.min(cutAt, bytes.byteLength);
        expect(crc32c(bytes)).toBe(slowly(bytes));
        const inTwo = updateCrc32c(updateCrc32c(~0, bytes, 0, cut), bytes, cut);
        expect(~inTwo >>> 0).toBe(slowly(bytes));
      }),
    );
  });
});
