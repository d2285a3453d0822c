/** The shapes of the operations on files of a running sandbox. */
import { z } from 'zod';
import { sandboxReference } from './schemas.js';

const MAX_PATH_CHARS = 4096;
const MAX_LISTED = 100_000;
const MAX_ID = 2 ** 32 - 2;

const KINDS = ['file', 'directory', 'symlink', 'character', 'block', 'fifo', 'socket'] as const;

export const guestPath = z
  .string()
  .min(1)
  .max(MAX_PATH_CHARS)
  .refine((path) => !path.includes('\0'), 'no NUL in a path')
  .describe('Path in the guest; a relative one begins at /');
const byteCount = z.number().int().nonnegative();
const attributes = {
  mode: z
    .number()
    .int()
    .min(0)
    .max(0o7777)
    .optional()
    .describe('Permission bits; default 0644, directories 0755'),
  uid: z.number().int().min(0).max(MAX_ID).optional().describe('Default root, or as it was'),
  gid: z.number().int().min(0).max(MAX_ID).optional(),
};

export const fileStatInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  follow: z.boolean().optional().describe('Of what a symbolic link points to, not of the link'),
});
export const fileListInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  recursive: z.boolean().optional(),
  maxEntries: z.number().int().min(1).max(MAX_LISTED).optional().describe('Default 10000'),
});
export const fileReadInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  offsetBytes: byteCount.optional(),
  lengthBytes: byteCount.optional().describe('Default: to the end'),
});
export const fileWriteInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  ...attributes,
  parents: z.boolean().optional().describe('Create missing directories'),
  exclusive: z.boolean().optional().describe('Fail when it is there'),
  inPlace: z.boolean().optional().describe('Write into it instead of replacing it: for /proc, /sys, devices'),
});
export const fileMkdirInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  ...attributes,
  parents: z.boolean().optional().describe('Create missing ones above it; it may be there'),
});
export const fileRemoveInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  recursive: z.boolean().optional().describe('A directory with all that is in it'),
  missingOk: z.boolean().optional(),
});
export const fileRenameInput = z.strictObject({ sandbox: sandboxReference, from: guestPath, to: guestPath });
export const treeReadInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath,
  name: z
    .string()
    .max(255)
    .refine((name) => !/[/\0]/.test(name) && name !== '..', 'one name')
    .optional()
    .describe('What the root of the archive is called; default the last part of the path'),
});
export const treeWriteInput = z.strictObject({
  sandbox: sandboxReference,
  path: guestPath.describe('The directory to put the files in; it has to be there'),
  keepOwners: z.boolean().optional().describe('Owners as the archive says; default root'),
});

export const fileShape = {
  kind: z.enum(KINDS),
  mode: z.number().int(),
  uid: z.number().int(),
  gid: z.number().int(),
  sizeBytes: byteCount,
  mtime: z.string(),
  linkCount: z.number().int(),
  /** What a symbolic link points to. */
  target: z.string().nullable(),
};
export const listedFile = z.object({
  /** Below the listed directory. Bytes that are not UTF-8 are shown as U+FFFD. */
  path: z.string(),
  ...fileShape,
});

export const fileOutput = z.object({ file: z.object(fileShape) });
export const fileListOutput = z.object({
  entries: z.array(listedFile),
  /** There are more than were asked for. */
  truncated: z.boolean(),
});
/** Told before the content; the size is what the file had then, and of /proc always 0. */
export const fileReadHead = z.object({ file: z.object({ ...fileShape, target: z.null() }) });
export const treeReadHead = z.object({ kind: z.enum(KINDS), name: z.string() });
export const treeWriteOutput = z.object({ entryCount: z.number().int() });
