/** Where the file systems of installs lie. */
import { join } from 'node:path';
import type { HearthPaths } from '../fsx/index.js';
import { ROOTFS_FILE } from './install-manifest.js';
import { defaultEnvironmentsDirectory, EnvironmentLayout } from './layout.js';

/** The file systems of all installs, valid or not. */
export async function installedRootfsPaths(
  paths: HearthPaths,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string[]> {
  const layout = new EnvironmentLayout(defaultEnvironmentsDirectory(paths, env));
  return (await layout.entries()).map((entry) => join(layout.platformDirectory, entry, ROOTFS_FILE));
}
