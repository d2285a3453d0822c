/** The shapes of commands that are run to their end, with their output in the answer. */
import { z } from 'zod';
import { errorSchema, execInput, pidsLimit } from './schemas.js';
import { secretsInput } from './secret-schemas.js';

const MAX_HOSTS = 256;
const MAX_HOST_CHARS = 255;
const MAX_IMAGE_CHARS = 4096;
const MAX_CPUS = 64;
const MAX_MEMORY_MIB = 1024 * 1024;
/** Of what a request may bring as standard input; the body of a request has a limit of its own. */
const MAX_STDIN_CHARS = 4 * 1024 * 1024;
export const MAX_CAPTURE_BYTES = 8 * 1024 * 1024;

const { argv, env, secretEnv, workdir, user, timeoutMs, graceMs, pidsMax, memoryMaxBytes, sandbox } =
  execInput.shape;

const captured = {
  stdin: z.string().max(MAX_STDIN_CHARS).optional().describe('Standard input as text'),
  stdinBase64: z
    .base64()
    .max(MAX_STDIN_CHARS)
    .optional()
    .describe('Standard input as base64, instead of stdin'),
  maxOutputBytes: z
    .number()
    .int()
    .min(0)
    .max(MAX_CAPTURE_BYTES)
    .optional()
    .describe('How much of stdout, and of stderr, the answer holds; default 1 MiB'),
};

const oneInput = (value: { stdin?: unknown; stdinBase64?: unknown }): boolean =>
  value.stdin === undefined || value.stdinBase64 === undefined;
const ONE_INPUT = 'give stdin or stdinBase64, not both';

export const execRunInput = z
  .strictObject({
    sandbox,
    argv,
    env,
    secretEnv,
    workdir,
    user,
    timeoutMs,
    graceMs,
    pidsMax,
    memoryMaxBytes,
    ...captured,
  })
  .refine(oneInput, ONE_INPUT);

export const sandboxRunInput = z
  .strictObject({
    image: z
      .string()
      .min(1)
      .max(MAX_IMAGE_CHARS)
      .describe('Name of an environment, or the reference of an image'),
    argv: argv.optional().describe('Default: what the image runs'),
    env,
    secrets: secretsInput.optional().describe('Variables of the command, taken out of its output'),
    workdir,
    user,
    timeoutMs,
    cpus: z.number().int().min(1).max(MAX_CPUS).optional(),
    memoryMib: z.number().int().min(1).max(MAX_MEMORY_MIB).optional(),
    diskBytes: z.number().int().nonnegative().optional(),
    pidsLimit: pidsLimit.optional(),
    accelerator: z.enum(['auto', 'kvm', 'tcg']).optional(),
    platform: z.string().max(MAX_HOST_CHARS).optional(),
    offline: z.boolean().optional(),
    network: z
      .union([
        z.enum(['none', 'public', 'full']),
        z.array(z.string().max(MAX_HOST_CHARS)).min(1).max(MAX_HOSTS),
      ])
      .optional()
      .describe(
        'What it reaches by HTTP and HTTPS: none (default), public, or these hosts; full: everything, unfiltered',
      ),
    ...captured,
  })
  .refine(oneInput, ONE_INPUT);

const encoding = z.enum(['utf8', 'base64']);
const byteCount = z.number().int().nonnegative();

export const execRunOutput = z.object({
  exitCode: z.number().int(),
  signal: z.string().nullable(),
  timedOut: z.boolean(),
  oomKilled: z.boolean(),
  /** The first bytes, as text, or as base64 where they are not UTF-8. */
  stdout: z.string(),
  stdoutEncoding: encoding,
  /** Of all that was written. */
  stdoutBytes: byteCount,
  stderr: z.string(),
  stderrEncoding: encoding,
  stderrBytes: byteCount,
  truncated: z.boolean(),
  /** Why the command was never started; with exit code 126 or 127 only. */
  failure: errorSchema.nullable(),
  durationMs: z.number().nonnegative(),
});

export const sandboxRunOutput = execRunOutput.extend({
  environment: z.string(),
  accelerator: z.enum(['kvm', 'tcg']),
  /** How its VM came up: resumed after an earlier boot, or booted; or it waited in the daemon's pool. */
  start: z.enum(['warm', 'cold', 'pool']),
});
