import { describe, expect, it } from 'vitest';
import { assertLabels, assertSandboxName, findSandbox, freeName } from './sandbox-name.js';

describe('assertSandboxName', () => {
  it.each(['a', 'A1', 'dev_1.x-y', 'x'.repeat(63)])('takes %s', (name) => {
    expect(() => assertSandboxName(name)).not.toThrow();
  });
  it.each(['', '-a', '.', '..', 'a/b', 'a b', 'a\n', 'ü', 'x'.repeat(64)])('refuses %j', (name) => {
    expect(() => assertSandboxName(name)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }));
  });
});

describe('assertLabels', () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, '']));
  it('takes 64 of 256 characters and no more', () => {
    expect(() => assertLabels(many(64))).not.toThrow();
    expect(() => assertLabels({ ['k'.repeat(256)]: 'v'.repeat(256) })).not.toThrow();
    for (const labels of [many(65), { '': 'x' }, { ['k'.repeat(257)]: '' }, { k: 'v'.repeat(257) }])
      expect(() => assertLabels(labels)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });
});

describe('findSandbox', () => {
  const all = [
    { id: 'aaaa00000000', name: 'one' },
    { id: 'aaab00000000', name: 'two' },
    { id: 'bbbb00000000', name: 'aaaa' },
  ];
  it.each([
    ['an id', 'aaab00000000', 'two'],
    ['a name', 'one', 'one'],
    ['a name that is also the beginning of an id', 'aaaa', 'aaaa'],
    ['the beginning of one id', 'aaab', 'two'],
    ['one digit', 'b', 'aaaa'],
  ])('finds it by %s', (_what, reference, name) => {
    expect(findSandbox(all, reference).name).toBe(name);
  });
  it.each([
    ['of nobody', 'three', 'SANDBOX_NOT_FOUND'],
    ['that is empty', '', 'SANDBOX_NOT_FOUND'],
    ['of two', 'aaa', 'SANDBOX_AMBIGUOUS'],
    ['that is a path', '../aaaa', 'SANDBOX_NOT_FOUND'],
  ])('refuses a reference %s', (_what, reference, code) => {
    expect(() => findSandbox(all, reference)).toThrow(expect.objectContaining({ code }));
  });
});

describe('freeName', () => {
  it.each([
    ['debian:12', 'debian-aaaa'],
    ['ghcr.io/some/builder:v2', 'builder-aaaa'],
    ['_x', 'x-aaaa'],
    ['///', 'sandbox-aaaa'],
  ])('%s', (environment, name) => {
    expect(freeName(environment, 'aaaa00000000', new Set())).toBe(name);
  });
  it('avoids names that are given', () => {
    expect(freeName('debian:12', 'aaaa12345678', new Set(['debian-aaaa', 'debian-aaaa1']))).toBe(
      'debian-aaaa12',
    );
  });
});
