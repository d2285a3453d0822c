import { ERROR_CODES, type ErrorCode } from './codes.js';
import type { ErrorKind } from './kinds.js';

const BRAND = Symbol.for('hearth.error');

export interface HearthErrorOptions {
  /** One imperative sentence, with the command to type where there is one. */
  readonly hint?: string;
  /** The facts of the message as JSON fields, units in their names; never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export interface HearthErrorJson {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint?: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * Root of every error that hearth throws on purpose.
 *
 * Branch on {@link HearthError.code} or {@link HearthError.kind}; the message is
 * for people and may change in any release. Anything thrown that is not a
 * `HearthError` is a bug of ours or the caller's own `signal.reason`.
 */
export class HearthError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: HearthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HearthError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
    Object.defineProperty(this, BRAND, { value: true });
  }

  get kind(): ErrorKind {
    return ERROR_CODES[this.code];
  }

  /** The wire form; `cause` and `stack` stay on this side. */
  toJSON(): HearthErrorJson {
    const { code, kind, message, hint, details } = this;
    return { code, kind, message, ...(hint === undefined ? {} : { hint }), details };
  }

  /** True for a `HearthError` from any copy of this package loaded in the process. */
  static is(value: unknown): value is HearthError {
    return value instanceof Error && BRAND in value;
  }
}
