import { describe, expect, it } from 'vitest';
import { cleanTarPath } from './clean-path.js';

describe('cleanTarPath', () => {
  it.each([
    ['a', 'a'],
    ['./a/', 'a'],
    ['/a//b/./c', 'a/b/c'],
    ['./', ''],
    ['..a/b..', '..a/b..'],
    [`${'n'.repeat(255)}`, 'n'.repeat(255)],
  ])('%j is %j', (raw, clean) => {
    expect(cleanTarPath(raw)).toBe(clean);
  });

  it.each([
    ['..', 'PATH_ESCAPES_ROOT'],
    ['a/../b', 'PATH_ESCAPES_ROOT'],
    ['/../etc', 'PATH_ESCAPES_ROOT'],
    ['n'.repeat(256), 'NAME_TOO_LONG'],
    ['d/'.repeat(2050), 'PATH_TOO_LONG'],
  ])('refuses %.12j', (raw, code) => {
    expect(() => cleanTarPath(raw)).toThrow(expect.objectContaining({ code }));
  });
});
