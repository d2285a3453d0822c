/** The shapes of what the operations on services and shells take and give. */
import { z } from 'zod';
import { execInput, sandboxReference } from './schemas.js';

const MAX_PATH_CHARS = 4096;
const MAX_PORTS = 16;
const MAX_WAIT_MS = 10 * 60_000;
const MAX_SHELL_WAIT_MS = 60_000;
const MAX_LINES = 100_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_INPUT_CHARS = 64 * 1024;
const MAX_SIGNAL_CHARS = 32;

const sandbox = sandboxReference;
const { argv, env, workdir, user } = execInput.shape;
const count = z.number().int().nonnegative();
const name = z.string().min(1).max(128).describe('Name of the service');
const port = z.number().int().min(1).max(65_535);
const maxBytes = z.number().int().min(1).max(MAX_OUTPUT_BYTES);

const readiness = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('file'), path: z.string().min(1).max(MAX_PATH_CHARS) }),
  z.strictObject({ kind: z.literal('tcp'), port }),
  z.strictObject({ kind: z.literal('http'), url: z.string().min(1).max(MAX_PATH_CHARS) }),
  z.strictObject({ kind: z.literal('command'), argv }),
]);

export const serviceStartInput = z.strictObject({
  sandbox,
  name,
  argv,
  env,
  workdir,
  user,
  ready: readiness.optional().describe('What shows that it is ready; default: that it runs'),
  readyTimeoutMs: z.number().int().min(1).max(MAX_WAIT_MS).optional(),
  publish: z
    .array(z.string().max(64))
    .max(MAX_PORTS)
    .optional()
    .describe('Ports on 127.0.0.1 that lead to it while it runs: [HOST:]GUEST'),
});

export const serviceInput = z.strictObject({ sandbox, name });
export const serviceStopInput = z.strictObject({
  sandbox,
  name,
  graceMs: z.number().int().min(0).max(MAX_WAIT_MS).optional(),
});
export const serviceLogsInput = z.strictObject({
  sandbox,
  name,
  tailLines: z.number().int().min(0).max(MAX_LINES).optional(),
  maxBytes: maxBytes.optional().describe('Of each of stdout and stderr'),
  stdoutCursor: count.optional(),
  stderrCursor: count.optional(),
});

const serviceOutput = z.object({
  name: z.string(),
  argv: z.array(z.string()),
  state: z.enum(['starting', 'running', 'stopped', 'exited', 'failed']),
  execId: count,
  pid: count,
  startedAt: z.string(),
  ready: readiness.nullable(),
  readyAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  exitCode: count.nullable(),
  signal: z.string().nullable(),
  ports: z.array(z.object({ address: z.string(), hostPort: count, guestPort: count })),
});
export const oneService = z.object({ service: serviceOutput });
export const serviceListOutput = z.object({ services: z.array(serviceOutput) });
export const serviceLogsOutput = z.object({
  stdout: z.string(),
  stderr: z.string(),
  stdoutCursor: count,
  stderrCursor: count,
  lostBytes: count,
});

const shell = count.describe('Its number, as shell.open gave it');

export const shellOpenInput = z.strictObject({
  sandbox,
  argv: argv.optional().describe('Default: a login shell'),
  env,
  workdir,
  user,
  rows: port.optional(),
  columns: port.optional(),
});
export const shellListInput = z.strictObject({ sandbox });
export const shellInput = z.strictObject({ sandbox, shell });
export const shellReadInput = z.strictObject({
  sandbox,
  shell,
  cursor: count.optional().describe('Where to begin; default: the oldest output that is kept'),
  maxBytes: maxBytes.optional(),
  plain: z.boolean().optional().describe('Only what a person would see; default true'),
  waitForIdleMs: z
    .number()
    .int()
    .min(0)
    .max(MAX_SHELL_WAIT_MS)
    .optional()
    .describe('Wait until nothing has been written for so long; default: do not wait'),
  timeoutMs: z.number().int().min(0).max(MAX_SHELL_WAIT_MS).optional().describe('The longest wait'),
});
export const shellWriteInput = z.strictObject({
  sandbox,
  shell,
  input: z.string().max(MAX_INPUT_CHARS),
  newline: z.boolean().optional().describe('End it with Enter; default true'),
});
export const shellSignalInput = z.strictObject({
  sandbox,
  shell,
  signal: z.string().min(1).max(MAX_SIGNAL_CHARS).optional().describe('Default INT, as Ctrl-C'),
});

const shellOutput = z.object({
  shell: count,
  argv: z.array(z.string()),
  pid: count,
  startedAt: z.string(),
  rows: count,
  columns: count,
  running: z.boolean(),
  exitCode: count.nullable(),
  signal: z.string().nullable(),
});
export const oneShell = z.object({ shell: shellOutput });
export const shellListOutput = z.object({ shells: z.array(shellOutput) });
export const shellReadOutput = z.object({
  output: z.string(),
  cursor: count,
  lostBytes: count,
  truncated: z.boolean(),
  idle: z.boolean(),
  running: z.boolean(),
  exitCode: count.nullable(),
});
