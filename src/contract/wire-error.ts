/** Errors on their way between processes. */
import { z } from 'zod';
import { ERROR_CODES, type ErrorCode, HearthError, type HearthErrorJson } from '../errors/index.js';
import { errorSchema } from './schemas.js';

const envelope = z.object({ error: errorSchema });

const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);

/** What another process threw. A code that this version does not know becomes `INTERNAL` and stays in the details. */
export function errorFromJson(json: z.output<typeof errorSchema>): HearthError {
  const { code, message, hint, details } = json;
  const known = isCode(code);
  return new HearthError(known ? code : 'INTERNAL', message, {
    ...(hint === undefined ? {} : { hint }),
    details: known ? details : { ...details, code },
  });
}

/** The error in `{ "error": … }`, or undefined when there is none. */
export function errorOfAnswer(answer: unknown): HearthError | undefined {
  const parsed = envelope.safeParse(answer);
  return parsed.success ? errorFromJson(parsed.data.error) : undefined;
}

/** Anything thrown, in the form it travels in. What is not ours is a bug, and says no more than that. */
export function errorToJson(error: unknown): HearthErrorJson {
  if (HearthError.is(error)) return error.toJSON();
  const message = error instanceof Error ? error.message : String(error);
  return new HearthError('INTERNAL', `unexpected error: ${message.slice(0, 500)}`, {
    hint: 'Report this with the end of the daemon’s log.',
  }).toJSON();
}
