import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withDeadlineForFirstAnswer } from './first-answer.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const never = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new Error('aborted')));
  });

describe('withDeadlineForFirstAnswer', () => {
  it('gives up after five seconds when another source follows', async () => {
    const asking = withDeadlineForFirstAnswer('x', { hasFallback: true, signal: undefined }, never);
    const rejected = expect(asking).rejects.toMatchObject({
      code: 'REGISTRY_TIMEOUT',
      details: { timeoutMs: 5000 },
    });
    await vi.advanceTimersByTimeAsync(4_999);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await rejected;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('has no deadline of its own when it is the last source', async () => {
    const stop = new AbortController();
    const asking = withDeadlineForFirstAnswer('x', { hasFallback: false, signal: stop.signal }, never);
    const rejected = expect(asking).rejects.toThrow('aborted');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(vi.getTimerCount()).toBe(0);
    stop.abort();
    await rejected;
  });

  it('ends the deadline with the answer, and still passes on an abort', async () => {
    const stop = new AbortController();
    let seen: AbortSignal | undefined;
    const answer = await withDeadlineForFirstAnswer(
      'x',
      { hasFallback: true, signal: stop.signal },
      async (signal) => {
        seen = signal;
        return 'answer';
      },
    );
    expect(answer).toBe('answer');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen?.aborted).toBe(false);
    stop.abort(new Error('later'));
    expect(seen?.reason).toBe(stop.signal.reason);
  });
});
