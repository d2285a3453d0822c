/** Fields that several tools have, and who sees them. */
import { z } from 'zod';
import type { View } from '../view.js';

const MAX_TEXT_CHARS = 4096;
const MAX_COMMAND_CHARS = 128 * 1024;
const MAX_VARIABLES = 256;
export const DEFAULT_TIMEOUT_MS = 120_000;

export const sandbox = z.string().min(1).max(128).describe('Name of the sandbox, as sandbox_create gave it');
export const image = z
  .string()
  .min(1)
  .max(MAX_TEXT_CHARS)
  .describe('Environment or container image: debian:12, python:3.12-slim. It is pulled when it is missing');
export const command = z
  .string()
  .min(1)
  .max(MAX_COMMAND_CHARS)
  .describe('Shell command line, run by /bin/sh -c');
export const path = z
  .string()
  .min(1)
  .max(MAX_TEXT_CHARS)
  .describe('Path in the sandbox; a relative one begins where commands do');
export const workdir = z.string().max(MAX_TEXT_CHARS).describe('Directory in the sandbox');
export const user = z.string().max(128).describe('USER[:GROUP] of the command');
export const env = z
  .record(z.string().regex(/^[^=\0]+$/), z.string().max(MAX_COMMAND_CHARS))
  .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, `at most ${MAX_VARIABLES} variables`)
  .describe('Environment variables');
export const timeoutSeconds = z.number().positive();
export const cpus = z.number().int().min(1).max(64).describe('Virtual processors; default 1');
export const memoryMib = z
  .number()
  .int()
  .min(64)
  .max(1024 * 1024)
  .describe('Memory in MiB; default 512');
export const diskMib = z
  .number()
  .int()
  .min(1)
  .max(16 * 1024 * 1024)
  .describe('Size of the disk in MiB');

const byteCount = z.number().int().nonnegative();

export const execOutput = {
  exitCode: z.number().int().describe('124: timed out, 126: not executable, 127: not found, 128+n: signal n'),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean().describe('Whether stdout or stderr is longer than what is given here'),
  stdoutBytes: byteCount,
  stderrBytes: byteCount,
  timedOut: z.boolean(),
  oomKilled: z.boolean().describe('Ended for lack of memory'),
  durationMs: byteCount,
};

/** The shape of the machine is shown in the full profile, as far as the operator leaves it open. */
export function hiddenMachineFields({ profile, mode, pins }: View): Array<'cpus' | 'memoryMib' | 'diskMib'> {
  if (profile !== 'full' || mode !== undefined) return ['cpus', 'memoryMib', 'diskMib'];
  return [
    ...(pins.cpus === undefined ? [] : (['cpus'] as const)),
    ...(pins.memoryMib === undefined ? [] : (['memoryMib'] as const)),
    ...(pins.diskBytes === undefined ? [] : (['diskMib'] as const)),
  ];
}

/** What the operator's limits leave of the fields that choose an image and a time. */
export function narrowedFields({ pins }: View): { image?: z.ZodType; timeoutSeconds: z.ZodType } {
  const [first, ...others] = pins.images;
  const most = pins.maxTimeoutMs / 1000;
  const usual = Math.min(DEFAULT_TIMEOUT_MS / 1000, most);
  return {
    ...(first === undefined
      ? {}
      : {
          image: z
            .enum([first, ...others])
            .optional()
            .describe(`Environment; default ${first}`),
        }),
    timeoutSeconds: timeoutSeconds
      .max(most)
      .optional()
      .describe(`End the command after this long; default ${usual}`),
  };
}

/** ms, within the operator's limit. */
export const timeoutMsOf = ({ pins }: View, seconds: number | undefined): number =>
  Math.min(pins.maxTimeoutMs, seconds === undefined ? DEFAULT_TIMEOUT_MS : Math.ceil(seconds * 1000));

/** One pinned image needs no choice. */
export const hiddenImageField = ({ pins }: View): Array<'image'> =>
  pins.images.length === 1 ? ['image'] : [];
