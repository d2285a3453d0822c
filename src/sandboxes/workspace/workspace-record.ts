/** What is written down of a workspace in the record of its sandbox. */
import { z } from 'zod';

const count = z.number().int().nonnegative();

export const workspaceRecordSchema = z.object({
  /** The guest has not, or not wholly, what the baseline has: the next start puts it there. */
  seedPending: z.boolean(),
  origin: z.object({
    kind: z.enum(['empty', 'git', 'directory', 'archive']),
    /** On the host. */
    path: z.string().nullable(),
    /** The commit that was checked out when the seed was taken. */
    commit: z.string().nullable(),
  }),
  leftOut: z.object({ untracked: count, special: count }),
  entryCount: count,
  sizeBytes: count,
});

export type WorkspaceRecord = z.infer<typeof workspaceRecordSchema>;

/** Where workspaces are in every guest. */
export const WORKSPACE_PATH = '/workspace';

/** The record of a workspace whose disk is a fresh one. */
export function seedAgain(workspace: WorkspaceRecord | null): WorkspaceRecord | null {
  return workspace === null ? null : { ...workspace, seedPending: true };
}
