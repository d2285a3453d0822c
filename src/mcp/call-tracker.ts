/** The tool calls under way: how many there may be, and waiting for their end when the server ends. */
import { HearthError } from '../errors/index.js';

const MAX_CALLS = 32;

export class CallTracker {
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  /**
   * Runs `body` with a signal that aborts when the caller's does or the server ends.
   *
   * @throws {HearthError} `REQUESTS_TOO_MANY`, and what `body` throws.
   */
  async run<T>(caller: AbortSignal, body: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#running.size >= MAX_CALLS) {
      throw new HearthError('REQUESTS_TOO_MANY', `${MAX_CALLS} tool calls are under way`, {
        hint: 'Wait for one of them to end.',
        details: { most: MAX_CALLS },
      });
    }
    const signal = AbortSignal.any([caller, this.#closing.signal]);
    signal.throwIfAborted();
    const call = body(signal);
    this.#running.add(call);
    try {
      return await call;
    } finally {
      this.#running.delete(call);
    }
  }

  /** Ends what is under way, and waits until it has cleaned up, at most `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#closing.abort(new Error('the server ends'));
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([Promise.allSettled([...this.#running]), limit]);
    clearTimeout(timer);
  }
}
