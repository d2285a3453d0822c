import { describe, expect, it } from 'vitest';
import { cleanEntryPath, parentOf } from './entry-path.js';

describe('cleanEntryPath', () => {
  const cases: ReadonlyArray<[raw: string, clean: string]> = [
    ['', ''],
    ['.', ''],
    ['./', ''],
    ['/', ''],
    ['..', ''],
    ['a', 'a'],
    ['a/', 'a'],
    ['a//', 'a'],
    ['./a', 'a'],
    ['/a', 'a'],
    ['//a//b', 'a/b'],
    ['a/./b', 'a/b'],
    ['a/.', 'a'],
    ['a/b/..', 'a'],
    ['a/../b', 'b'],
    ['../../etc/passwd', 'etc/passwd'],
    ['a/../../../b', 'b'],
    ['.a/..b/c.', '.a/..b/c.'],
    ['...', '...'],
    ['a/.../b', 'a/.../b'],
    ['a b\xff', 'a b\xff'],
  ];
  it.each(cases)('%j is %j', (raw, clean) => {
    expect(cleanEntryPath(raw)).toBe(clean);
  });

  it('allows names of 255 bytes and paths of 32 KiB, and no more', () => {
    const name = 'n'.repeat(255);
    expect(cleanEntryPath(`a/${name}`)).toBe(`a/${name}`);
    expect(() => cleanEntryPath(`a/${name}n`)).toThrow(
      expect.objectContaining({
        code: 'NAME_TOO_LONG',
        details: expect.objectContaining({ nameBytes: 256 }),
      }),
    );
    const deep = 'd/'.repeat(16 * 1024);
    expect(cleanEntryPath(deep)).toHaveLength(32 * 1024 - 1);
    expect(() => cleanEntryPath(`${deep}d`)).toThrow(expect.objectContaining({ code: 'PATH_TOO_LONG' }));
  });

  it('finds parents', () => {
    expect([parentOf('a'), parentOf('a/b'), parentOf('a/b/c')]).toEqual(['', 'a', 'a/b']);
  });
});
