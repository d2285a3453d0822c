import { describe, expect, it } from 'vitest';
import { hashName, hashStateOf } from './directory-hash.js';

const SEED = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const NO_SEED = new Uint8Array(16);

// Given by `debugfs -R 'dx_hash -h half_md4 [-s UUID] NAME'` of e2fsprogs 1.47.0.
describe('hashName', () => {
  it.each([
    ['one byte', 'a', 0x93752ee6, 0xd5fa7d7a],
    ['one word', 'abcd', 0xf4e4a464, 0xad7557a8],
    ['32 bytes', 'x'.repeat(32), 0x7ae82a38, 0xae38ae70],
    ['33 bytes', 'y'.repeat(33), 0x145de81c, 0xcf79e5d6],
    ['255 bytes', 'z'.repeat(255), 0xc22784a2, 0x3b4d55ea],
    ['bytes above 127', '\xe9\xff\x80', 0x641119e8, 0x923c66b8],
  ])('%s', (_name, name, seeded, unseeded) => {
    expect(hashName(hashStateOf(SEED), name)).toBe(seeded);
    expect(hashName(hashStateOf(NO_SEED), name)).toBe(unseeded);
  });

  it('leaves the state alone', () => {
    const state = hashStateOf(SEED);
    const first = hashName(state, 'a');
    hashName(state, 'b');
    expect(hashName(state, 'a')).toBe(first);
  });
});
