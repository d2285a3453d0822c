import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assertEnvironmentName,
  installDirectoryName,
  isEnvironmentName,
  isEnvironmentVersion,
  nameFromReference,
} from './names.js';

describe('names', () => {
  it.each(['a', 'debian:12', 'debian:12-base', 'my-tools', 'a.b', 'x1:2.3', 'a'.repeat(128)])(
    'accepts %s',
    (name) => {
      expect(assertEnvironmentName(name)).toBe(name);
    },
  );

  it.each([
    '',
    'A',
    'a_b',
    '-a',
    'a-',
    '.',
    '..',
    'a/b',
    'a:b:c',
    ':a',
    'a:',
    'a b',
    'a\0',
    'a'.repeat(129),
    '.partial-x',
  ])('refuses %j', (name) => {
    expect(() => assertEnvironmentName(name)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }));
  });

  it.each([
    ['1.0.0', true],
    ['abcdef012345', true],
    ['1', true],
    ['1-2', false],
    ['', false],
    ['../1', false],
    ['1.', false],
  ])('version %j: %s', (version, expected) => {
    expect(isEnvironmentVersion(version)).toBe(expected);
  });

  it('no two pairs of name and version share a directory', () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,3}$/);
    const name = fc
      .array(part, { minLength: 1, maxLength: 3 })
      .chain((parts) => fc.constantFrom('-', '.', ':').map((separator) => parts.join(separator)));
    const pair = fc.tuple(name.filter(isEnvironmentName), part);
    fc.assert(
      fc.property(pair, pair, ([nameA, versionA], [nameB, versionB]) => {
        const isSame = installDirectoryName(nameA, versionA) === installDirectoryName(nameB, versionB);
        expect(isSame).toBe(nameA === nameB && versionA === versionB);
      }),
    );
  });

  it('what is derived from a reference is always a name', () => {
    const repository = fc.stringMatching(/^[a-z0-9]+(?:(?:\.|_|__|-+|\/)[a-z0-9]+)*$/);
    const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,127}$/), { nil: undefined });
    fc.assert(
      fc.property(repository, tag, (name, label) => {
        expect(isEnvironmentName(nameFromReference({ repository: name, tag: label }))).toBe(true);
      }),
    );
  });
});
