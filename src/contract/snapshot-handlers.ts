/** The operations on snapshots, carried out here. */
import type { z } from 'zod';
import type { SandboxOperationOptions, Snapshots } from '../sandboxes/index.js';
import type { SNAPSHOT_OPERATIONS } from './snapshot-operations.js';

type Input<N extends keyof typeof SNAPSHOT_OPERATIONS> = z.output<(typeof SNAPSHOT_OPERATIONS)[N]['input']>;

export function snapshotHandlers(snapshots: Snapshots) {
  return {
    'sandbox.reset': async ({ sandbox, cold }: Input<'sandbox.reset'>, options: SandboxOperationOptions) => ({
      sandbox: { ...(await snapshots.reset(sandbox, { ...options, cold })) },
    }),
  };
}
