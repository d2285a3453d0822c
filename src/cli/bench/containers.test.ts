import { describe, expect, it } from 'vitest';
import { parseEngines } from './containers.js';

describe('parseEngines', () => {
  it.each([
    [undefined, []],
    ['', []],
    ['podman', ['podman']],
    ['docker,podman', ['podman', 'docker']],
    ['podman,podman', ['podman']],
  ])('%j is %j', (text, expected) => expect(parseEngines(text)).toEqual(expected));

  it('refuses another engine', () => {
    expect(() => parseEngines('podman,lxc')).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });
});
