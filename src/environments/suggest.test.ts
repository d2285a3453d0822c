import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { suggestNames } from './suggest.js';

const KNOWN = ['debian:12', 'debian:12-base', 'debian:12-build', 'debian-bookworm', 'alpine-3-20'];

describe('suggestNames', () => {
  const cases: [typed: string, first: string | undefined][] = [
    ['debain:12', 'debian:12'],
    ['debian:21', 'debian:12'],
    ['debian', 'debian:12'],
    ['debian:12-bild', 'debian:12-build'],
    ['DEBIAN:12', 'debian:12'],
    ['alpine', 'alpine-3-20'],
    ['ubuntu', undefined],
    ['', undefined],
  ];
  it.each(cases)('%s leads to %s', (typed, first) => {
    expect(suggestNames(typed, KNOWN)[0]).toBe(first);
  });

  it('gives at most three, all known, whatever is typed', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (typed) => {
        const names = suggestNames(typed, KNOWN);
        expect(names.length).toBeLessThanOrEqual(3);
        for (const name of names) expect(KNOWN).toContain(name);
      }),
    );
  });
});
