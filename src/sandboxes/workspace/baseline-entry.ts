/** What a workspace was when it began, on disk: `baseline/manifest.json`, and the contents one after the other in `baseline/data`. */
import { z } from 'zod';

const byteCount = z.number().int().nonnegative();

const entrySchema = z.object({
  /** Below the workspace; latin1: one character a byte. */
  path: z.string(),
  kind: z.enum(['file', 'directory', 'symlink']),
  /** 0..0o777 */
  mode: z.number().int().min(0).max(0o777),
  mtimeNs: z.string().regex(/^-?\d{1,20}$/),
  sizeBytes: byteCount,
  /** Of a file: where its content begins. */
  offsetBytes: byteCount,
  /** Of a file: of its content. */
  sha256: z.string(),
  /** Of a link; latin1. */
  target: z.string(),
});

export const baselineSchema = z.object({
  schemaVersion: z.literal(1),
  /** A directory stands before what is in it, and what is in it before anything else. */
  entries: z.array(entrySchema),
});

export type BaselineEntry = z.infer<typeof entrySchema>;

export const BASELINE_DIRECTORY = 'baseline';
export const MANIFEST_FILE = 'manifest.json';
export const DATA_FILE = 'data';
export const MAX_MANIFEST_BYTES = 64 * 1024 * 1024;
