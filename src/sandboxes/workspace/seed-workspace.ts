/** Gives a guest that has just started the workspace that it is to have. */
import type { AgentClient, CallOptions } from '../../agent/index.js';
import { Baseline } from './baseline.js';
import { restoreBaseline } from './fill-guest.js';
import { resolveOwner } from './guest-place.js';
import { WORKSPACE_PATH } from './workspace-record.js';

/** @throws {HearthError} `STORE_CORRUPT`, `GUEST_DISK_FULL`, and those of the agent. */
export async function seedWorkspace(
  { files }: AgentClient,
  sandboxDirectory: string,
  user: string,
  options: CallOptions = {},
): Promise<void> {
  await using baseline = await Baseline.open(sandboxDirectory);
  const owner = await resolveOwner(files, user);
  await restoreBaseline({ files, root: WORKSPACE_PATH, owner }, baseline, options);
}
