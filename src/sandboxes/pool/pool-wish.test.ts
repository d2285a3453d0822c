import { describe, expect, it } from 'vitest';
import { GIB, MIB } from '../../bytes/index.js';
import { assertPoolFits, MOST_POOLED, parsePoolWish } from './pool-wish.js';

describe('parsePoolWish', () => {
  it.each([
    ['debian:12', 'debian:12', 1],
    ['debian:12=1', 'debian:12', 1],
    ['localhost:5000/a/b:v1=64', 'localhost:5000/a/b:v1', 64],
  ])('reads %s', (text, image, size) => expect(parsePoolWish(text)).toEqual({ image, size }));

  it.each(['', '=2', 'a=', 'a=0', 'a=65', 'a=-1', 'a=1.5', 'a=1=2', 'a=two', 'a=0064x'])(
    'refuses %j',
    (text) => {
      expect(() => parsePoolWish(text)).toThrow(
        expect.objectContaining({ code: 'USAGE_INVALID', details: { pool: text } }),
      );
    },
  );
});

describe('assertPoolFits', () => {
  const two = [
    { image: 'a', size: 1 },
    { image: 'b', size: 1 },
  ] as const;
  it('lets through what just fits', () => {
    expect(assertPoolFits([], 512, 0)).toBeUndefined();
    expect(assertPoolFits(two, 512, GIB)).toBeUndefined();
    expect(assertPoolFits([{ image: 'a', size: MOST_POOLED }], 1, GIB)).toBeUndefined();
  });

  it.each([
    ['a byte too much', two, GIB - 1],
    [
      'too many',
      [
        { image: 'a', size: MOST_POOLED },
        { image: 'b', size: 1 },
      ],
      1024 * GIB,
    ],
  ])('refuses %s', (_what, wishes, memoryBytes) => {
    expect(() => assertPoolFits(wishes, 512, memoryBytes)).toThrow(
      expect.objectContaining({
        code: 'USAGE_INVALID',
        details: expect.objectContaining({
          memoryBytes,
          neededBytes: wishes.reduce((sum, { size }) => sum + size, 0) * 512 * MIB,
        }),
      }),
    );
  });

  it('refuses one environment twice', () => {
    expect(() => assertPoolFits([...two, { image: 'a', size: 2 }], 1, GIB)).toThrow(
      expect.objectContaining({ code: 'USAGE_INVALID' }),
    );
  });
});
