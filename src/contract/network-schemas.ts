/** The shapes of what sandboxes may reach, and of what they reached. */
import { z } from 'zod';
import type { NetworkMode } from '../sandboxes/index.js';

const MAX_PATTERN_CHARS = 512;
const MAX_PATTERNS = 1000;
const MAX_PIECE_BYTES = 2 * 1024 * 1024;
const MAX_CURSOR_CHARS = 128;

/** Written out, not imported, as in `schemas.ts`. */
const MODES = ['none', 'public', 'full'] as const satisfies readonly NetworkMode[];
const patterns = z.array(z.string().min(1).max(MAX_PATTERN_CHARS)).max(MAX_PATTERNS);
const count = z.number().int().nonnegative();

/** Fields of the inputs of `sandbox.create` and `sandbox.update`. */
export const networkWishes = {
  /** none: only `allowHosts` · public: also every public host by HTTP(S) · full: a network device, unfiltered. */
  network: z.enum(MODES).optional(),
  /** `HOST[:PORT][=ADDRESS]` */
  allowHosts: patterns.optional(),
};

export const networkChanges = { ...networkWishes, removeHosts: patterns.optional() };

export const networkOutput = z.object({
  mode: z.enum(MODES),
  hosts: z.array(z.string()),
  /** The egress proxy's port on the guest's loopback, once it has had one. */
  proxyPort: count.nullable(),
});

export const egressInput = z.strictObject({
  /** Name, id, or the beginning of one id */
  sandbox: z.string().min(1).max(MAX_CURSOR_CHARS),
  /** Of the journal's end; default 256 KiB. */
  maxBytes: z.number().int().min(1).max(MAX_PIECE_BYTES).optional(),
  cursor: z.string().max(MAX_CURSOR_CHARS).optional(),
});

export const egressEventOutput = z.object({
  at: z.string(),
  id: count,
  kind: z.enum(['connect', 'http']),
  host: z.string(),
  port: count,
  address: z.string().optional(),
  rule: z.string().optional(),
  decision: z.enum(['allowed', 'denied', 'failed']),
  reason: z.string(),
  bytesUp: count,
  bytesDown: count,
  durationMs: count,
  /** How many events a flood left out right before this one. */
  omittedBefore: count.optional(),
});

export const egressOutput = z.object({ events: z.array(egressEventOutput), cursor: z.string() });
