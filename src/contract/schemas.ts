/** The shapes of what the operations take and give. Inputs refuse fields they do not know. */
import { z } from 'zod';
import type { SandboxInfo, SandboxState } from '../sandboxes/index.js';
import { networkChanges, networkOutput, networkWishes } from './network-schemas.js';
import { secretEnvInput, secretsInput, secretsOutput } from './secret-schemas.js';
import { workspaceInput, workspaceOutput } from './workspace-schemas.js';

const MAX_NAME_CHARS = 128;
const MAX_PATH_CHARS = 4096;
const MAX_WORDS = 4096;
const MAX_VARIABLES = 4096;
const MAX_WORD_CHARS = 128 * 1024;
const MAX_CPUS = 64;
const MAX_MEMORY_MIB = 1024 * 1024;
const MAX_PIDS = 4_194_304;
/** The longest wait of a timer, 24 days. */
const MAX_DURATION_MS = 2 ** 31 - 1;
const MAX_RING_BYTES = 16 * 1024 * 1024;
const MAX_LOG_BYTES = 2 * 1024 * 1024;

export const sandboxReference = z
  .string()
  .min(1)
  .max(MAX_NAME_CHARS)
  .describe('Name, id, or the beginning of one id');
const sandbox = sandboxReference;
const name = z.string().min(1).max(MAX_NAME_CHARS);
export const pidsLimit = z
  .number()
  .int()
  .min(1)
  .max(MAX_PIDS)
  .describe('Most processes in the guest at once');
const durationMs = z.number().int().min(0).max(MAX_DURATION_MS);
const limitMs = z.number().int().min(1).max(MAX_DURATION_MS);
const variables = z
  .record(z.string().min(1).max(MAX_PATH_CHARS), z.string().max(MAX_WORD_CHARS))
  .refine((env) => Object.keys(env).length <= MAX_VARIABLES, `at most ${MAX_VARIABLES} variables`)
  .refine(
    (env) => Object.entries(env).every(([key, value]) => !/[=\0]/.test(key) && !value.includes('\0')),
    'no = in a name, no NUL anywhere',
  );
const path = z.string().max(MAX_PATH_CHARS);
const count = z.number().int().nonnegative();
const byteCount = z.number().int().nonnegative();

/** Written out, not imported: a client that only calls the daemon has no need of what carries operations out. */
const STATES = [
  'created',
  'starting',
  'running',
  'paused',
  'stopping',
  'stopped',
  'failed',
] as const satisfies readonly SandboxState[];
const STOP_REASONS = ['stop', 'kill', 'guest', 'idle', 'shutdown', 'host'] as const satisfies ReadonlyArray<
  NonNullable<SandboxInfo['stopReason']>
>;

export const referenceInput = z.strictObject({ sandbox });

export const createInput = z.strictObject({
  image: z.string().min(1).max(MAX_PATH_CHARS),
  name: name.optional(),
  labels: z.record(z.string(), z.string()).optional(),
  cpus: z.number().int().min(1).max(MAX_CPUS).optional(),
  memoryMib: z.number().int().min(1).max(MAX_MEMORY_MIB).optional(),
  diskBytes: byteCount.optional(),
  pidsLimit: pidsLimit.optional(),
  accelerator: z.enum(['auto', 'kvm', 'tcg']).optional(),
  env: variables.optional(),
  workdir: path.optional(),
  user: z.string().max(MAX_NAME_CHARS).optional(),
  ttlMs: limitMs.optional(),
  idleTimeoutMs: limitMs.optional(),
  /** `[ADDRESS:][HOST_PORT:]GUEST_PORT` */
  ports: z.array(z.string().max(MAX_NAME_CHARS)).max(64).optional(),
  workspace: workspaceInput.optional(),
  platform: z.string().max(MAX_NAME_CHARS).optional(),
  offline: z.boolean().optional(),
  ...networkWishes,
  secrets: secretsInput.optional(),
});

export const stopInput = z.strictObject({ sandbox, graceMs: durationMs.optional() });
export const removeInput = z.strictObject({ sandbox, force: z.boolean().optional() });

export const updateInput = z.strictObject({
  sandbox,
  name: name.optional(),
  labels: z.record(z.string(), z.string().nullable()).optional(),
  ttlMs: limitMs.nullable().optional(),
  idleTimeoutMs: limitMs.nullable().optional(),
  ...networkChanges,
  secrets: secretsInput.optional(),
});

export const logsInput = z.strictObject({
  sandbox,
  maxBytes: z.number().int().min(1).max(MAX_LOG_BYTES).optional(),
  cursor: z.string().max(MAX_NAME_CHARS).optional(),
});

export const logsOutput = z.object({
  /** What the guest wrote, control characters and all. */
  base64: z.string(),
  cursor: z.string(),
});

const terminal = z.strictObject({
  rows: z.number().int().min(1).max(65_535),
  columns: z.number().int().min(1).max(65_535),
});

export const execInput = z.strictObject({
  sandbox,
  argv: z.array(z.string().max(MAX_WORD_CHARS)).min(1).max(MAX_WORDS),
  env: variables.optional(),
  secretEnv: secretEnvInput.optional(),
  workdir: path.optional(),
  user: z.string().max(MAX_NAME_CHARS).optional(),
  stdin: z.boolean().optional(),
  terminal: terminal.optional(),
  timeoutMs: durationMs.optional(),
  graceMs: durationMs.optional(),
  detached: z.strictObject({ ringBytes: z.number().int().min(1).max(MAX_RING_BYTES) }).optional(),
  pidsMax: z.number().int().min(1).optional(),
  memoryMaxBytes: z.number().int().min(1).optional(),
});

export const attachInput = z.strictObject({
  sandbox,
  execId: count,
  stdoutCursor: byteCount.optional(),
  stderrCursor: byteCount.optional(),
  stdin: z.boolean().optional(),
});

export const execKillInput = z.strictObject({
  sandbox,
  execId: count,
  signal: z.string().max(MAX_NAME_CHARS).optional(),
});

export const errorSchema = z.object({
  code: z.string(),
  kind: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()),
});

export const sandboxOutput = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(STATES),
  environment: z.string(),
  labels: z.record(z.string(), z.string()),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  stoppedAt: z.string().nullable(),
  expiresAt: z.string().nullable(),
  stopReason: z.enum(STOP_REASONS).nullable(),
  failure: errorSchema.nullable(),
  /** How its present or last VM came up. */
  startKind: z.enum(['cold', 'warm']).nullable(),
  cpus: count,
  memoryMib: count,
  diskBytes: byteCount,
  /** Most processes at once; null: no limit. */
  pidsLimit: count.nullable(),
  accelerator: z.enum(['kvm', 'tcg']),
  acceleratorReason: z.string(),
  defaults: z.object({ env: z.array(z.string()), workdir: z.string(), user: z.string() }),
  ttlMs: durationMs.nullable(),
  idleTimeoutMs: durationMs.nullable(),
  ports: z.array(
    z.object({
      address: z.string(),
      /** 0: any free one. */
      hostPort: count,
      guestPort: count,
      /** The one that listens while the sandbox runs. */
      published: count.nullable(),
    }),
  ),
  network: networkOutput,
  secrets: secretsOutput,
  workspace: workspaceOutput.nullable(),
  pid: count.nullable(),
  /** Whether its agent answers; null: it does not run, or has not been asked yet. */
  health: z.enum(['responsive', 'unresponsive']).nullable(),
});

const execOutput = z.object({
  execId: count,
  pid: count,
  name: z.string(),
  running: z.boolean(),
  detached: z.boolean(),
  attached: z.boolean(),
  tty: z.boolean(),
  exitCode: z.number().int().nullable(),
  signal: z.string().nullable(),
  stdoutBytes: byteCount,
  stderrBytes: byteCount,
});

export const oneSandbox = z.object({ sandbox: sandboxOutput });
export const listOutput = z.object({
  /** `lastActiveAt`: when something was last done in it, started or ended. */
  sandboxes: z.array(sandboxOutput.extend({ lastActiveAt: z.string() })),
  /** Directories of sandboxes that cannot be understood. */
  damaged: z.array(z.object({ id: z.string(), error: errorSchema })),
});
export const inspectOutput = z.object({ sandbox: sandboxOutput, execs: z.array(execOutput) });
export const removedOutput = z.object({ id: z.string(), name: z.string() });

export const statsOutput = z.object({
  id: z.string(),
  name: z.string(),
  atMs: z.number(),
  host: z.object({ cpuMs: z.number(), privateBytes: byteCount, residentBytes: byteCount }),
  guest: z
    .object({
      memoryTotalBytes: byteCount,
      memoryAvailableBytes: byteCount,
      diskTotalBytes: byteCount,
      diskAvailableBytes: byteCount,
      processCount: count,
      uptimeMs: count,
      load1: z.number(),
    })
    .nullable(),
});

export const exitOutput = z.object({
  exitCode: z.number().int(),
  signal: z.string().optional(),
  timedOut: z.boolean(),
  oomKilled: z.boolean(),
  failure: errorSchema.optional(),
  stdoutBytes: byteCount,
  stderrBytes: byteCount,
  lostBytes: byteCount,
  runtimeUs: z.number(),
  userUs: z.number(),
  systemUs: z.number(),
  maxRssKib: z.number(),
});

export const startedOutput = z.object({
  execId: count,
  pid: count,
  stdoutCursor: byteCount,
  stderrCursor: byteCount,
});

export const nothing = z.strictObject({});
