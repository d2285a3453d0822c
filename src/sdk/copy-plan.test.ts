import { describe, expect, it } from 'vitest';
import { type CopySource, type CopyTarget, planCopy, sourceName, withoutSlashes } from './copy-plan.js';

const file: CopySource = { kind: 'other', name: 'f', contents: false, shown: 'f' };
const directory: CopySource = { kind: 'directory', name: 'd', contents: false, shown: 'd' };
const contents: CopySource = { ...directory, contents: true };
const target = (kind: CopyTarget['kind'], path: string, wantsDirectory = false): CopyTarget => ({
  kind,
  path,
  wantsDirectory,
  shown: path,
});

describe('planCopy', () => {
  it.each([
    ['a file to a new name', file, target('missing', '/t/n'), '/t', 'n', true],
    ['a file over a file', file, target('other', '/t/n'), '/t', 'n', false],
    ['a file into a directory', file, target('directory', '/t'), '/t', 'f', false],
    ['a file to the root', file, target('missing', '/n'), '/', 'n', true],
    ['a directory to a new name', directory, target('missing', '/t/n'), '/t', 'n', true],
    ['a directory into a directory', directory, target('directory', '/t'), '/t', 'd', false],
    ['what is in a directory into a directory', contents, target('directory', '/t'), '/t', '.', false],
    ['what is in a directory to a new name', contents, target('missing', '/t/n'), '/t', 'n', true],
    ['a directory to a new name with a slash', directory, target('missing', '/t/n', true), '/t', 'n', true],
  ] as const)('%s', (_name, source, to, into, name, isNew) => {
    expect(planCopy(source, to)).toEqual({ directory: into, name, isNew });
  });

  it.each([
    ['a directory over a file', directory, target('other', '/t/n'), 'COPY_TARGET_CONFLICT'],
    ['a file to a file with a slash', file, target('other', '/t/n', true), 'COPY_TARGET_CONFLICT'],
    ['a file to a missing directory', file, target('missing', '/t/n', true), 'FILE_NOT_FOUND'],
    ['a file to a missing ..', file, target('missing', '/t/..'), 'FILE_NOT_FOUND'],
  ] as const)('refuses %s', (_name, source, to, code) => {
    expect(() => planCopy(source, to)).toThrow(expect.objectContaining({ code }));
  });
});

it.each([
  ['a/b', 'b', false],
  ['a/b/', 'b', false],
  ['a/b/.', 'b', true],
  ['.', '.', true],
  ['./', '.', false],
  ['/', '.', false],
  ['/.', '.', true],
  ['..', '.', true],
  ['a', 'a', false],
])('the source %s is called %s', (path, name, contents) => {
  expect(sourceName(path)).toEqual({ name, contents });
});

it.each([
  ['/', '/'],
  ['//', '/'],
  ['a//', 'a'],
  ['', ''],
])('%j without slashes is %j', (path, expected) => {
  expect(withoutSlashes(path)).toBe(expected);
});
