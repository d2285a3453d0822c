/** Pauses between attempts: exponential, with jitter, as long as the server asks within bounds. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isUnreachable, retryAdvice } from './failures.js';
import type { RegistryLimits } from './options.js';

/** A host that cannot be reached at all is given up sooner, unless something came from it before. */
const UNREACHABLE_ATTEMPTS = 2;

/** Counts attempts in a row without progress and waits between them. */
export class Retries {
  readonly #limits: RegistryLimits;
  readonly #maxAttempts: number;
  readonly #signal: AbortSignal | undefined;
  #failures = 0;
  #hasContact: boolean;

  /** @param hasContact Whether the registry has answered before in this pull. */
  constructor(
    limits: RegistryLimits,
    maxAttempts: number,
    signal: AbortSignal | undefined,
    hasContact = false,
  ) {
    this.#limits = limits;
    this.#maxAttempts = maxAttempts;
    this.#signal = signal;
    this.#hasContact = hasContact;
  }

  /** Something new arrived: the count starts again. */
  progress(): void {
    this.#failures = 0;
    this.#hasContact = true;
  }

  /** Waits before the next attempt, or throws `error` when there should be none. */
  async pauseOrThrow(error: unknown): Promise<void> {
    const { isWorthwhile, afterMs } = retryAdvice(error);
    if (!isWorthwhile) throw error;
    this.#failures += 1;
    const { retryBaseMs, maxRetryAfterMs } = this.#limits;
    const isHopeless = isUnreachable(error) && !this.#hasContact;
    const attempts = isHopeless ? Math.min(UNREACHABLE_ATTEMPTS, this.#maxAttempts) : this.#maxAttempts;
    if (this.#failures >= attempts) throw error;
    if (afterMs !== undefined && afterMs > maxRetryAfterMs) throw error;
    const growing = Math.min(retryBaseMs * 2 ** (this.#failures - 1), maxRetryAfterMs);
    const pauseMs = Math.max(afterMs ?? 0, growing * (0.5 + Math.random() / 2));
    try {
      await sleep(pauseMs, undefined, this.#signal === undefined ? {} : { signal: this.#signal });
    } catch (aborted) {
      this.#signal?.throwIfAborted();
      throw aborted;
    }
  }
}

/**
 * What a `Retry-After` header asks for, in ms from now; undefined when it is absent or malformed.
 *
 * @param date The response's own `Date`, by which an HTTP date is understood whatever our clock says.
 */
export function parseRetryAfter(value: string | undefined, date: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Without this, Date.parse would take almost any number for a date.
  const then = /^[A-Z][a-z]{2,8}, /.test(text) ? Date.parse(text) : Number.NaN;
  const now = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(then)) return undefined;
  return Math.max(0, then - (Number.isNaN(now) ? Date.now() : now));
}
