/** Giving up early on a source that does not answer, when there is another one to turn to. */
import { HearthError } from '../../errors/index.js';
import type { SourceRequest } from '../source.js';

const FIRST_ANSWER_TIMEOUT_MS = 5_000;

/**
 * Runs `ask`. When another source follows it has five seconds to answer; without one it has as long as it takes.
 *
 * @throws {HearthError} `REGISTRY_TIMEOUT`; what `ask` throws; `signal.reason`.
 */
export async function withDeadlineForFirstAnswer<T>(
  what: string,
  request: Pick<SourceRequest, 'hasFallback' | 'signal'>,
  ask: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const { signal } = request;
  if (!request.hasFallback) return await ask(signal);
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener('abort', onAbort, { once: true });
  const tooLate = new HearthError(
    'REGISTRY_TIMEOUT',
    `${what}: no answer within ${FIRST_ANSWER_TIMEOUT_MS} ms, and there is another source`,
    {
      hint: 'Check the network, or name the image itself to wait for it.',
      details: { what, timeoutMs: FIRST_ANSWER_TIMEOUT_MS },
    },
  );
  const timer = setTimeout(() => stop.abort(tooLate), FIRST_ANSWER_TIMEOUT_MS);
  try {
    // The signal goes on to whatever arrives later, so the listener stays; the deadline ends with the answer.
    return await ask(stop.signal);
  } catch (error) {
    signal?.removeEventListener('abort', onAbort);
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}
