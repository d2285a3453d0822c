/** The shapes of what the operations on workspaces take and give. */
import { z } from 'zod';

const MAX_PATH_CHARS = 4096;
const MAX_PATHS = 1000;
const MAX_PATCH_CHARS = 8 * 1024 * 1024;
const MAX_SHOWN_PATCH_BYTES = 32 * 1024 * 1024;

const count = z.number().int().nonnegative();
const sandbox = z.string().min(1).max(128).describe('Name, id, or the beginning of one id');
const path = z.string().min(1).max(MAX_PATH_CHARS);

/** What `sandbox.create` takes as `workspace`. */
export const workspaceInput = z.strictObject({
  seedPath: path
    .optional()
    .describe('Absolute path of a directory or tar archive of the host; default: the workspace begins empty'),
  all: z.boolean().optional().describe('Of a directory in a Git repository, also what Git does not track'),
});

const originOutput = z.object({
  kind: z.enum(['empty', 'git', 'directory', 'archive']),
  path: z.string().nullable(),
  commit: z.string().nullable(),
});
const leftOutOutput = z.object({ untracked: count, special: count });

/** What is known of the workspace of a sandbox. */
export const workspaceOutput = z.object({
  seedPending: z.boolean(),
  origin: originOutput,
  leftOut: leftOutOutput,
  entryCount: count,
  sizeBytes: count,
});

export const diffInput = z.strictObject({
  sandbox,
  paths: z.array(path).max(MAX_PATHS).optional().describe('Only at and below these, relative to /workspace'),
  binary: z.boolean().optional().describe('Also the bytes of binary files, in base 85'),
  thorough: z.boolean().optional().describe('Also compare files whose size and time are unchanged'),
  maxPatchBytes: z.number().int().min(0).max(MAX_SHOWN_PATCH_BYTES).optional(),
});

const mode = z.string().nullable();
export const diffOutput = z.object({
  /** Applicable with `git apply`. */
  patch: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      change: z.enum(['added', 'modified', 'deleted', 'special']),
      oldMode: mode,
      newMode: mode,
      binary: z.boolean(),
      addedLines: count,
      removedLines: count,
      /** The patch has all of it. */
      inPatch: z.boolean(),
    }),
  ),
  leftOutCount: count,
});

export const pushInput = z.strictObject({
  sandbox,
  source: path.describe('Absolute path of a directory or tar archive of the host'),
  all: z.boolean().optional().describe('Of a directory in a Git repository, also what Git does not track'),
  to: z.string().max(MAX_PATH_CHARS).optional().describe('Directory in the workspace; default: its top'),
});

export const pushOutput = z.object({
  origin: originOutput,
  leftOut: leftOutOutput,
  entryCount: count,
  sizeBytes: count,
});

export const resetInput = z.strictObject({ sandbox });
export const resetOutput = z.object({ workspace: workspaceOutput });

export const patchInput = z.strictObject({
  sandbox,
  patch: z.string().max(MAX_PATCH_CHARS).describe('A unified diff with paths relative to /workspace'),
  check: z.boolean().optional().describe('Only say whether it would do'),
});

export const patchOutput = z.object({
  files: z.array(z.object({ path: z.string(), change: z.enum(['added', 'modified', 'deleted']) })),
  applied: z.boolean(),
});
