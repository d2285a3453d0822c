/** What the operations on snapshots take and give. */
import { z } from 'zod';
import { sandboxOutput, sandboxReference } from './schemas.js';

export const startInput = z.strictObject({
  sandbox: sandboxReference,
  cold: z.boolean().optional().describe('Boot, rather than resume a VM that has booted before'),
});

const MAX_FORKS = 64;
const snapshotName = z.string().min(1).max(128).describe('Name of a snapshot of the sandbox');

export const snapshotInput = z.strictObject({ sandbox: sandboxReference, name: snapshotName });

export const snapshotListInput = z.strictObject({
  sandbox: sandboxReference.optional().describe('Only those of this sandbox'),
});

export const restoreInput = z.strictObject({
  sandbox: sandboxReference,
  name: snapshotName,
  diskOnly: z.boolean().optional().describe('Leave the memory aside; the sandbox is stopped then'),
});

export const forkInput = z.strictObject({
  sandbox: sandboxReference,
  count: z.number().int().min(1).max(MAX_FORKS).optional().describe('How many; default 1'),
  name: z.string().min(1).max(128).optional().describe('Of the copy; of several, its beginning'),
  snapshot: snapshotName.optional().describe('Go on from this snapshot instead of from now'),
  keepCommands: z.boolean().optional().describe('Let the commands of the source go on in the copies'),
});

export const snapshotOutput = z.object({
  id: z.string(),
  name: z.string(),
  sandbox: z.string(),
  sandboxId: z.string(),
  environment: z.string(),
  createdAt: z.string(),
  /** vm: memory, processors and disk of one moment; disk: only the disk, of one that did not run. */
  kind: z.enum(['vm', 'disk']),
  /** How long the commands of the sandbox stood still for it. */
  pauseMs: z.number().int().nonnegative(),
  /** What it takes of the host's disk. */
  allocatedBytes: z.number().int().nonnegative(),
});

export const oneSnapshot = z.object({ snapshot: snapshotOutput });
export const snapshotListOutput = z.object({ snapshots: z.array(snapshotOutput) });
export const forkOutput = z.object({
  sandboxes: z.array(sandboxOutput),
  /** How long the commands of the source stood still. */
  pauseMs: z.number().int().nonnegative(),
});
