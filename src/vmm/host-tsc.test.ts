import { describe, expect, it } from 'vitest';
import { tscKhzOf } from './host-tsc.js';

const entry = (bogomips: string, flags = 'fpu tsc constant_tsc nx'): string =>
  `processor\t: 0\ncpu MHz\t\t: 1200.000\nflags\t\t: ${flags}\nbogomips\t: ${bogomips}\n\nprocessor\t: 1\n`;

describe('tscKhzOf', () => {
  it.each([
    ['5192.25', 2_596_125],
    ['800.00', 400_000],
    ['799.98', undefined],
    ['40000.00', 20_000_000],
    ['40000.02', undefined],
    ['0.00', undefined],
    ['many', undefined],
    ['', undefined],
  ])('bogomips %s', (bogomips, khz) => {
    expect(tscKhzOf(entry(bogomips))).toBe(khz);
  });

  it('trusts only a counter of constant rate', () => {
    expect(tscKhzOf(entry('5192.25', 'fpu tsc nonstop_tsc'))).toBeUndefined();
    expect(tscKhzOf('')).toBeUndefined();
  });
});
