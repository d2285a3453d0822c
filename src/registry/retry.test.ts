import { describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { DEFAULT_LIMITS } from './options.js';
import { parseRetryAfter, Retries } from './retry.js';

const limits = { ...DEFAULT_LIMITS, retryBaseMs: 1 };
const down = new HearthError('REGISTRY_UNAVAILABLE', 'down', { details: { status: 503 } });
const refused = new HearthError('REGISTRY_UNAVAILABLE', 'refused', { details: { reason: 'ECONNREFUSED' } });

/** How many failures in a row are borne. */
async function count(retries: Retries, error: unknown): Promise<number> {
  for (let failures = 1; ; failures += 1) {
    try {
      await retries.pauseOrThrow(error);
    } catch (thrown) {
      expect(thrown).toBe(error);
      return failures;
    }
  }
}

describe('Retries', () => {
  it.each<[name: string, error: unknown, hasContact: boolean, attempts: number]>([
    ['a failing server', down, false, 4],
    ['nobody there', refused, false, 2],
    ['nobody there any more', refused, true, 4],
    ['a cut body', new HearthError('SIZE_MISMATCH', '', { details: { isPassing: true } }), false, 4],
    ['a wrong size', new HearthError('SIZE_MISMATCH', ''), false, 1],
    ['a wrong password', new HearthError('REGISTRY_UNAUTHORIZED', ''), false, 1],
    ['a bug', new TypeError(), false, 1],
    [
      'a wait of a day',
      new HearthError('REGISTRY_RATE_LIMITED', '', { details: { retryAfterMs: 86_400_000 } }),
      false,
      1,
    ],
    [
      'a wait of 1 ms',
      new HearthError('REGISTRY_RATE_LIMITED', '', { details: { retryAfterMs: 1 } }),
      false,
      4,
    ],
  ])('gives up %s', async (_name, error, hasContact, attempts) => {
    expect(await count(new Retries(limits, 4, undefined, hasContact), error)).toBe(attempts);
  });

  it('counts from the start after progress', async () => {
    const retries = new Retries(limits, 4, undefined);
    await retries.pauseOrThrow(down);
    await retries.pauseOrThrow(down);
    retries.progress();
    expect(await count(retries, down)).toBe(4);
  });

  it('ends a pause with the reason of the abort', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const retries = new Retries(
      { ...limits, retryBaseMs: 60_000, maxRetryAfterMs: 60_000 },
      4,
      controller.signal,
    );
    setTimeout(() => controller.abort(reason), 20);
    await expect(retries.pauseOrThrow(down)).rejects.toBe(reason);
  });
});

describe('parseRetryAfter', () => {
  it.each<[value: string | undefined, date: string | undefined, ms: number | undefined]>([
    [undefined, undefined, undefined],
    ['0', undefined, 0],
    ['7', undefined, 7000],
    ['86400', undefined, 86_400_000],
    ['-1', undefined, undefined],
    ['1.5', undefined, undefined],
    ['soon', undefined, undefined],
    ['9999999999', undefined, undefined],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 'Thu, 01 Jan 1970 00:00:03 GMT', 7000],
    ['Thu, 01 Jan 1970 00:00:10 GMT', 'Thu, 01 Jan 1970 00:00:30 GMT', 0],
    ['Thu, 01 Jan 1970 00:00:10 GMT', undefined, 0],
  ])('%s at %s is %s ms', (value, date, ms) => {
    expect(parseRetryAfter(value, date)).toBe(ms);
  });
});
