/** The operation that tells what happened in a sandbox; `summary-handlers.ts` carries it out. */
import { z } from 'zod';
import { serviceListOutput } from './background-schemas.js';
import { sandboxReference } from './schemas.js';

const MAX_EVENTS = 5000;
const count = z.number().int().nonnegative();

const summaryInput = z.strictObject({
  sandbox: sandboxReference,
  maxEvents: z.number().int().min(0).max(MAX_EVENTS).optional().describe('The last of them; default 200'),
});

const summaryOutput = z.object({
  id: z.string(),
  name: z.string(),
  environment: z.string(),
  state: z.string(),
  /** The last reset, or the creation. */
  since: z.string(),
  events: z.array(
    z.object({
      at: z.string(),
      operation: z.string(),
      text: z.string(),
      exitCode: count.optional(),
      durationMs: count.optional(),
    }),
  ),
  /** Older ones since then that are not among the events. */
  omittedEvents: count,
  /** There were still older ones, which are no longer kept. */
  truncated: z.boolean(),
  commandCount: count,
  failedCommandCount: count,
  /** Of a running sandbox with a workspace. */
  changes: z
    .array(z.object({ path: z.string(), change: z.string(), addedLines: count, removedLines: count }))
    .nullable(),
  services: serviceListOutput.shape.services,
  snapshots: z.array(z.string()),
  /** The same for people, in Markdown. */
  text: z.string(),
});
export type Summary = z.output<typeof summaryOutput>;

export const SUMMARY_OPERATIONS = {
  'sandbox.summary': {
    doc: 'What happened in a sandbox since its last reset: commands, edits, changes, services, snapshots',
    input: summaryInput,
    output: summaryOutput,
    progress: true,
  },
} as const;
