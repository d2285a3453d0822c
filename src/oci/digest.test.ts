import { describe, expect, it } from 'vitest';
import { digestAlgorithm, digestHex, digestOf, isDigest, parseDigest } from './digest.js';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('parseDigest', () => {
  it.each([EMPTY, `sha512:${'0'.repeat(128)}`])('accepts %s', (text) => {
    const digest = parseDigest(text);
    expect(`${digestAlgorithm(digest)}:${digestHex(digest)}`).toBe(text);
  });

  it.each([
    '',
    'sha256',
    'sha256:',
    EMPTY.toUpperCase(),
    `${EMPTY}0`,
    EMPTY.slice(0, -1),
    ` ${EMPTY}`,
    `${EMPTY}\n`,
    `sha256:../${'a'.repeat(61)}`,
    `sha512:${'0'.repeat(64)}`,
    `sha256:${'0'.repeat(128)}`,
    `sha384:${'0'.repeat(96)}`,
    `md5:${'0'.repeat(32)}`,
  ])('refuses %j', (text) => {
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }));
  });

  it.each([undefined, null, 0, {}, [EMPTY]])('knows that %j is none', (value) => {
    expect(isDigest(value)).toBe(false);
  });
});

describe('digestOf', () => {
  it('hashes bytes with either algorithm', () => {
    expect(digestOf(new Uint8Array())).toBe(EMPTY);
    expect(digestOf(new Uint8Array(), 'sha512')).toMatch(/^sha512:cf83e1357eefb8bd/);
  });
});
