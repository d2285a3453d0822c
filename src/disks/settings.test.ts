import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULT_RESIZE2FS } from './resize-ext4.js';
import { DEFAULT_CLONES_DIR, DEFAULT_TEMPLATE_DIR, diskSettings } from './settings.js';

describe('diskSettings', () => {
  it('RR-31: the defaults are the exported constants', () => {
    expect(diskSettings({ HOME: '/root' }, true)).toEqual({
      templateDir: DEFAULT_TEMPLATE_DIR,
      clonesDir: DEFAULT_CLONES_DIR,
      resize2fsPath: DEFAULT_RESIZE2FS,
    });
    expect([DEFAULT_TEMPLATE_DIR, DEFAULT_CLONES_DIR, DEFAULT_RESIZE2FS]).toEqual([
      '/var/lib/hearth/rootfs-templates',
      '/var/lib/hearth/rootfs',
      'resize2fs',
    ]);
  });

  it.each([
    ['an ordinary user', { HOME: '/home/ada' }, false, '/home/ada/.local/share/hearth'],
    ['XDG', { HOME: '/home/ada', XDG_DATA_HOME: '/data' }, false, '/data/hearth'],
    ['HEARTH_HOME', { HEARTH_HOME: '/h' }, false, '/h/data'],
    ['HEARTH_HOME of root', { HEARTH_HOME: '/h' }, true, '/h/data'],
  ])('RR-31: for %s below the data directory', (_who, env, isRoot, data) => {
    expect(diskSettings(env, isRoot)).toMatchObject({
      templateDir: `${data}/rootfs-templates`,
      clonesDir: `${data}/rootfs`,
    });
  });

  it('RR-30: variables win over every default, an empty one counts as unset', () => {
    const env = {
      HEARTH_ROOTFS_TEMPLATE_DIR: '/t',
      HEARTH_ROOTFS_CLONES_DIR: 'relative',
      HEARTH_RESIZE2FS_BIN: '/opt/resize2fs',
    };
    expect(diskSettings(env, false)).toEqual({
      templateDir: '/t',
      clonesDir: resolve('relative'),
      resize2fsPath: '/opt/resize2fs',
    });
    expect(diskSettings({ ...env, HEARTH_ROOTFS_TEMPLATE_DIR: '' }, true).templateDir).toBe(
      DEFAULT_TEMPLATE_DIR,
    );
  });
});
