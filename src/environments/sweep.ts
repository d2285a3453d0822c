/** Removes staging directories whose makers are dead. */
import { rm } from 'node:fs/promises';
import { HearthError } from '../errors/index.js';
import { acquireLock } from '../fsx/index.js';
import { measureTree } from './disk-usage.js';
import type { EnvironmentLayout } from './layout.js';

export interface SweepOptions {
  /** Name whose lock the caller holds: all its staging directories are of the dead. */
  readonly heldName?: string;
  /** Removes nothing. */
  readonly dryRun?: boolean;
}

export interface SweptStaging {
  readonly path: string;
  /** Allocated. */
  readonly bytes: number;
}

/** Whoever makes an install holds its name's lock, which ends with the process: a free lock means a dead maker. */
export async function sweepStagings(
  layout: EnvironmentLayout,
  options: SweepOptions = {},
): Promise<SweptStaging[]> {
  const held = options.heldName === undefined ? undefined : layout.lockPath(options.heldName);
  const swept: SweptStaging[] = [];
  const sweep = async (path: string): Promise<void> => {
    const { allocatedBytes } = await measureTree(path);
    if (options.dryRun !== true) await rm(path, { recursive: true, force: true, maxRetries: 3 });
    swept.push({ path, bytes: allocatedBytes });
  };
  for (const { path, lockPath } of await layout.stagings()) {
    if (lockPath === undefined || lockPath === held) {
      await sweep(path);
      continue;
    }
    try {
      const lock = await acquireLock(lockPath, { timeoutMs: 0 });
      try {
        await sweep(path);
      } finally {
        await lock.release();
      }
    } catch (error) {
      if (!HearthError.is(error) || error.code !== 'STORE_LOCKED') throw error;
    }
  }
  return swept;
}
