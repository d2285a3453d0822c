import { describe, expect, it } from 'vitest';
import { classifyEntryName, type LayerEntryName } from './whiteout.js';

describe('classifyEntryName', () => {
  const cases: ReadonlyArray<[name: string, path: string, expected: LayerEntryName]> = [
    ['plain file', 'etc/hosts', { kind: 'entry', path: 'etc/hosts' }],
    ['the root', '', { kind: 'entry', path: '' }],
    ['file at the root', '.wh.file1', { kind: 'whiteout', path: 'file1' }],
    ['file in a directory', 'a/.wh.file2', { kind: 'whiteout', path: 'a/file2' }],
    ['file two directories down', 'usr/lib/.wh.old', { kind: 'whiteout', path: 'usr/lib/old' }],
    ['opaque directory', 'bin/.wh..wh..opq', { kind: 'opaque', directory: 'bin' }],
    ['opaque root', '.wh..wh..opq', { kind: 'opaque', directory: '' }],
    ['almost opaque', 'a/.wh..wh..opqX', { kind: 'whiteout', path: 'a/.wh..opqX' }],
    ['prefix in a parent only', '.wh.x/y', { kind: 'entry', path: '.wh.x/y' }],
    ['prefix inside a name', 'a.wh.b', { kind: 'entry', path: 'a.wh.b' }],
    ['target named like a dotfile', 'a/.wh..env', { kind: 'whiteout', path: 'a/.env' }],
    ['target of dots only', 'a/.wh.....', { kind: 'whiteout', path: 'a/....' }],
  ];
  it.each(cases)('%s: %s', (_name, path, expected) => {
    expect(classifyEntryName(path)).toEqual(expected);
  });

  it.each(['.wh.', 'a/.wh.', 'a/.wh..', 'a/.wh...'])('rejects %s', (path) => {
    expect(() => classifyEntryName(path)).toThrow(
      expect.objectContaining({ code: 'WHITEOUT_INVALID', details: { path } }),
    );
  });
});
