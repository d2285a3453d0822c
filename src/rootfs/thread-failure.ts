/** Errors between threads: coded errors keep code, hint and details. */
import { HearthError, type HearthErrorJson } from '../errors/index.js';

/** A failure on its way to another thread; plain JSON. */
export type ThreadFailure =
  | { readonly kind: 'hearth'; readonly error: HearthErrorJson }
  | { readonly kind: 'other'; readonly message: string; readonly stack: string | undefined };

export function encodeFailure(error: unknown): ThreadFailure {
  if (HearthError.is(error)) return { kind: 'hearth', error: error.toJSON() };
  if (error instanceof Error) return { kind: 'other', message: error.message, stack: error.stack };
  return { kind: 'other', message: String(error), stack: undefined };
}

export function decodeFailure(failure: ThreadFailure): Error {
  if (failure.kind === 'hearth') {
    const { code, message, hint, details } = failure.error;
    return new HearthError(code, message, { details, ...(hint === undefined ? {} : { hint }) });
  }
  const error = new Error(failure.message);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}
