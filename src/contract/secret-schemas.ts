/** The shapes of secrets: their values only ever go in. */
import { z } from 'zod';
import type { SecretSource } from '../sandboxes/index.js';

const MAX_NAME_CHARS = 64;
const MAX_VALUE_CHARS = 64 * 1024;
const MAX_SECRETS = 64;

/** Written out, not imported, as in `schemas.ts`. */
const SOURCES = ['value', 'file', 'env'] as const satisfies readonly SecretSource[];
const secretName = z
  .string()
  .max(MAX_NAME_CHARS)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/);

export const secretsInput = z
  .array(
    z.strictObject({
      name: secretName,
      value: z.string().min(1).max(MAX_VALUE_CHARS),
      /** Where the value came from, for whoever looks at it later. Default value. */
      source: z.enum(SOURCES).optional(),
    }),
  )
  .max(MAX_SECRETS)
  .describe('Files below /run/secrets of the guest, taken out of the output; on no disk, gone with it');

/** Names of secrets, by the variables of the command that are to hold them. */
export const secretEnvInput = z
  .record(
    z
      .string()
      .min(1)
      .max(MAX_NAME_CHARS)
      .regex(/^[^=\0]+$/),
    secretName,
  )
  .describe('Secrets that the command gets, by the names of its variables');

export const secretsOutput = z.array(z.object({ name: z.string(), source: z.enum(SOURCES) }));
