import { join } from 'node:path';
import { loadConfig } from '../config/index.js';
import { type EnvironmentStore, openEnvironmentStore } from '../environments/index.js';
import { guestAgentPath, keptSnapshots, sandboxesUsing } from '../sandboxes/index.js';
import type { CommandContext } from './command.js';

/** The user's environments. */
export async function environments(
  { paths, env }: CommandContext,
  offline = false,
): Promise<EnvironmentStore> {
  const { registry } = await loadConfig(paths);
  return await openEnvironmentStore({
    paths,
    env,
    offline,
    registry: { env, ...registry },
    agentPath: guestAgentPath(),
    isInUse: (directory) => sandboxesUsing(paths, directory),
    savedVms: keptSnapshots(paths),
  });
}

/** The directory of the user's kernel bundles. */
export function kernelsDirectory({ paths }: CommandContext): string {
  return join(paths.data, 'kernels');
}
