/** Where a registry keeps its disks, and which resize2fs it runs. */
import { join, resolve } from 'node:path';
import { hearthPaths } from '../fsx/index.js';
import { DEFAULT_RESIZE2FS } from './resize-ext4.js';

/** For root, as long as HEARTH_HOME is not set; everyone else has them in their data directory. */
export const DEFAULT_TEMPLATE_DIR = '/var/lib/hearth/rootfs-templates';
export const DEFAULT_CLONES_DIR = '/var/lib/hearth/rootfs';

export interface DiskSettings {
  readonly templateDir: string;
  readonly clonesDir: string;
  readonly resize2fsPath: string;
}

/**
 * The settings of an environment; an empty variable counts as unset, relative directories are taken from
 * the working directory.
 *
 * @param env Looked at: `HEARTH_ROOTFS_TEMPLATE_DIR`, `HEARTH_ROOTFS_CLONES_DIR`, `HEARTH_RESIZE2FS_BIN`;
 *   for defaults `HEARTH_HOME` and what `hearthPaths` reads.
 * @param isRoot Default: whether this process runs as root.
 * @throws {HearthError} `CONFIG_INVALID` when a default is needed and there is no home directory.
 */
export function diskSettings(
  env: Readonly<Record<string, string | undefined>>,
  isRoot: boolean = process.geteuid?.() === 0,
): DiskSettings {
  const directory = (variable: string, forRoot: string, name: string): string => {
    const value = env[variable];
    if (value !== undefined && value !== '') return resolve(value);
    if (isRoot && (env.HEARTH_HOME ?? '') === '') return forRoot;
    return join(hearthPaths(env).data, name);
  };
  return {
    templateDir: directory('HEARTH_ROOTFS_TEMPLATE_DIR', DEFAULT_TEMPLATE_DIR, 'rootfs-templates'),
    clonesDir: directory('HEARTH_ROOTFS_CLONES_DIR', DEFAULT_CLONES_DIR, 'rootfs'),
    resize2fsPath: env.HEARTH_RESIZE2FS_BIN || DEFAULT_RESIZE2FS,
  };
}
