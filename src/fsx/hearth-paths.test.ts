import { describe, expect, it } from 'vitest';
import { hearthPaths } from './hearth-paths.js';

describe('hearthPaths', () => {
  it('puts everything below HEARTH_HOME', () => {
    expect(hearthPaths({ HEARTH_HOME: '/x', HOME: '/h', XDG_CACHE_HOME: '/c' })).toEqual({
      cache: '/x/cache',
      data: '/x/data',
      state: '/x/state',
      config: '/x/config',
      runtime: '/x/run',
    });
  });

  it('follows XDG, and ignores relative values as the specification says', () => {
    expect(
      hearthPaths({
        HOME: '/h',
        XDG_CACHE_HOME: '/c',
        XDG_DATA_HOME: 'relative',
        XDG_RUNTIME_DIR: '/run/user/1',
      }),
    ).toEqual({
      cache: '/c/hearth',
      data: '/h/.local/share/hearth',
      state: '/h/.local/state/hearth',
      config: '/h/.config/hearth',
      runtime: '/run/user/1/hearth',
    });
    expect(hearthPaths({ HOME: '/h', HEARTH_HOME: '' }).runtime).toBe('/h/.local/state/hearth/run');
  });

  it.each([{}, { HOME: 'relative' }, { HOME: '/h', HEARTH_HOME: 'relative' }])('refuses %j', (env) => {
    expect(() => hearthPaths(env)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});
