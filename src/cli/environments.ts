import { join } from 'node:path';
import { type EnvironmentStore, openEnvironmentStore } from '../environments/index.js';
import { guestAgentPath } from '../sandboxes/index.js';
import type { CommandContext } from './command.js';

/** The user's environments. */
export function environments({ paths, env }: CommandContext, offline = false): Promise<EnvironmentStore> {
  return openEnvironmentStore({ paths, env, offline, agentPath: guestAgentPath() });
}

/** The directory of the user's kernel bundles. */
export function kernelsDirectory({ paths }: CommandContext): string {
  return join(paths.data, 'kernels');
}
