import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AgentClient } from '../agent/index.js';
import { HealthWatch, type Watched } from './health.js';

type Ping = (options: { readonly signal?: AbortSignal }) => Promise<number>;

let watch: HealthWatch | undefined;
beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  watch?.close();
  vi.useRealTimers();
});

function sandbox(ping: Ping): Watched & { record: { state: 'running' | 'paused' }; pings: number } {
  const made = {
    record: { state: 'running' as 'running' | 'paused' },
    pings: 0,
    agent: async () => ({
      ping: async (options: { readonly signal?: AbortSignal }) => {
        made.pings += 1;
        return await ping(options);
      },
    }),
  };
  return made as unknown as ReturnType<typeof sandbox>;
}

const never: Ping = ({ signal }) =>
  new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

function start(...all: Watched[]): HealthWatch {
  watch = new HealthWatch(() => all, { everyMs: 100, answerMs: 250 });
  return watch;
}

describe('HealthWatch', () => {
  it('knows nothing before the first answer, and asks again and again', async () => {
    const one = sandbox(async () => 1);
    const health = start(one);
    expect(health.of(one)).toBeNull();
    await vi.advanceTimersByTimeAsync(350);
    expect(health.of(one)).toBe('responsive');
    expect(one.pings).toBe(3);
  });

  it('says that a silent one is unresponsive, asks it one thing at a time, and harms no other', async () => {
    let isSilent = true;
    const silent = sandbox((options) => (isSilent ? never(options) : Promise.resolve(1)));
    const other = sandbox(async () => 1);
    const health = start(silent, other);
    // AbortSignal.timeout is not a fake timer.
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new Error('late')), ms);
      return controller.signal;
    });
    await vi.advanceTimersByTimeAsync(340);
    expect(silent.pings).toBe(1);
    expect(health.of(silent)).toBeNull();
    await vi.advanceTimersByTimeAsync(20);
    expect([health.of(silent), health.of(other)]).toEqual(['unresponsive', 'responsive']);
    isSilent = false;
    await vi.advanceTimersByTimeAsync(200);
    expect(health.of(silent)).toBe('responsive');
    vi.restoreAllMocks();
  });

  it('says that one is unresponsive whose agent cannot be reached', async () => {
    const one: Watched = {
      record: { state: 'running' },
      agent: () => Promise.reject<AgentClient>(new Error('gone')),
    };
    const health = start(one);
    await vi.advanceTimersByTimeAsync(150);
    expect(health.of(one)).toBe('unresponsive');
  });

  it('says nothing of one that does not run, and forgets what it knew', async () => {
    const one = sandbox(async () => 1);
    const health = start(one);
    await vi.advanceTimersByTimeAsync(150);
    one.record.state = 'paused';
    expect(health.of(one)).toBeNull();
    await vi.advanceTimersByTimeAsync(100);
    one.record.state = 'running';
    expect(health.of(one)).toBeNull();
  });

  it('asks no more when it is closed', async () => {
    const one = sandbox(async () => 1);
    start(one).close();
    await vi.advanceTimersByTimeAsync(500);
    expect(one.pings).toBe(0);
  });
});
