/** The shapes of the operations on disks of sandboxes, running or not. */
import { z } from 'zod';
import { fileListInput, fileReadHead, fileShape, guestPath, listedFile } from './file-schemas.js';
import { sandboxReference } from './schemas.js';

const MAX_CHANGES = 100_000;

export const diskListInput = fileListInput;
export const diskListOutput = z.object({
  entries: z.array(listedFile),
  /** There are more than were asked for. */
  truncated: z.boolean(),
});
export const diskReadInput = z.strictObject({ sandbox: sandboxReference, path: guestPath });
export const diskReadHead = fileReadHead;
export const diskTarInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath.optional().describe('Default: all of it'),
});
export const diskExportInput = z.strictObject({ sandbox: sandboxReference });
export const diskDiffInput = z.strictObject({
  sandbox: sandboxReference,
  hashes: z.boolean().optional().describe('SHA-256 of contents as well'),
  maxChanges: z.number().int().min(1).max(MAX_CHANGES).optional().describe('Default 10000'),
});

const version = z.object({ ...fileShape, sha256: z.string().nullable() });
export const diskDiffOutput = z.object({
  changes: z.array(
    z.object({
      change: z.enum(['added', 'modified', 'deleted']),
      /** From the root on, with a slash. */
      path: z.string(),
      /** What is different in a modified one. */
      parts: z.array(z.enum(['kind', 'content', 'target', 'mode', 'owner', 'device', 'xattrs'])),
      /** As the environment has it. */
      old: version.nullable(),
      /** As the sandbox has it. */
      now: version.nullable(),
    }),
  ),
  truncated: z.boolean(),
});
export const diskHead = z.object({ sandbox: z.string() });
