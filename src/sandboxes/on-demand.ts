/** What one command in a fresh VM does not need, loaded when it is asked for: every start would pay for it. */
import type { SavedVms } from '../environments/index.js';
import type { HearthPaths } from '../fsx/index.js';
import type { EgressPolicy } from '../network/index.js';
import type { DoctorOptions, HostCheck } from './doctor.js';
import type { NetworkWishes } from './network/network-changes.js';
import type { Runtime, RuntimeOptions } from './runtime.js';

/**
 * Opens the sandboxes: takes over every VM that runs, and removes what nobody owns.
 *
 * @throws {HearthError} `STORE_LOCKED` when another process has them.
 */
export async function openRuntime(options: RuntimeOptions): Promise<Runtime> {
  return await (await import('./local-runtime.js')).openRuntime(options);
}

/** Runs every check; the order is the order to mend things in. */
export async function checkHost(options: DoctorOptions): Promise<HostCheck[]> {
  return await (await import('./doctor.js')).checkHost(options);
}

/** Names of the sandboxes whose disks need what is in the environment's directory. */
export async function sandboxesUsing(
  paths: HearthPaths,
  environmentDirectory: string,
): Promise<readonly string[]> {
  return await (await import('./sandbox-store.js')).sandboxesUsing(paths, environmentDirectory);
}

/** The saved VMs, for a store that tells what is kept on disk. */
export function keptSnapshots(paths: HearthPaths): SavedVms {
  const load = () => import('./boot-snapshots/kept-snapshots.js');
  return {
    list: async () => await (await load()).listSavedVms(paths),
    prune: async (options) => await (await load()).pruneBootSnapshots(paths, options),
  };
}

/** What the proxy of one command is to let through; undefined: nothing. @throws {HearthError} `HOST_PATTERN_INVALID`. */
export async function egressPolicyFor(wishes: NetworkWishes): Promise<EgressPolicy | undefined> {
  if (wishes.network === undefined && wishes.allowHosts === undefined) return undefined;
  return (await import('./network/network-changes.js')).egressPolicyFor(wishes);
}
