import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { duplexPair as rawPair, readAll } from '../../test/network/support.js';
import { splice } from './splice.js';

/** A pair whose ends may be broken on purpose. */
function duplexPair() {
  const pair = rawPair();
  for (const end of pair) end.on('error', () => {});
  return pair;
}

const never = new AbortController().signal;
const options = { idleTimeoutMs: 10_000, signal: never };

function joined(given: Partial<typeof options> = {}) {
  const [client, left] = duplexPair();
  const [right, server] = duplexPair();
  return { client, server, left, right, result: splice(left, right, { ...options, ...given }) };
}

describe('splice', () => {
  it('carries bytes both ways and counts them', async () => {
    const { client, server, left, right, result } = joined();
    client.end('ping');
    server.end('a longer pong');
    expect(await Promise.all([readAll(server), readAll(client)])).toEqual(['ping', 'a longer pong']);
    expect(await result).toEqual({ ending: 'completed', leftToRightBytes: 4, rightToLeftBytes: 13 });
    expect([left.destroyed, right.destroyed]).toEqual([true, true]);
  });

  it.each(['client', 'server'] as const)(
    'keeps the other direction open when the %s has ended its own',
    async (first) => {
      const ends = joined();
      const [early, late] = first === 'client' ? [ends.client, ends.server] : [ends.server, ends.client];
      const atLate = readAll(late);
      const atEarly = readAll(early);
      early.end('question');
      expect(await atLate).toBe('question');
      await sleep(20);
      late.write('an answer ');
      await sleep(20);
      late.end('in two parts');
      expect(await atEarly).toBe('an answer in two parts');
      expect(await ends.result).toMatchObject({ ending: 'completed' });
    },
  );

  it('carries megabytes without loss', async () => {
    const { client, server, result } = joined();
    const up = randomBytes(3 * 1024 * 1024 + 1);
    const down = randomBytes(2 * 1024 * 1024 + 7);
    const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    client.end(up);
    server.end(down);
    const [atServer, atClient] = await Promise.all([readAll(server), readAll(client)]);
    expect(hash(Buffer.from(atServer, 'latin1'))).toBe(hash(up));
    expect(hash(Buffer.from(atClient, 'latin1'))).toBe(hash(down));
    expect(await result).toEqual({
      ending: 'completed',
      leftToRightBytes: up.byteLength,
      rightToLeftBytes: down.byteLength,
    });
  });

  it('stops reading when the other side does not read', async () => {
    const controller = new AbortController();
    const { client, result } = joined({ signal: controller.signal });
    const chunk = Buffer.alloc(8 * 1024);
    let writtenBytes = 0;
    while (client.write(chunk)) writtenBytes += chunk.byteLength;
    for (let turn = 0; turn < 50; turn += 1) {
      await new Promise(setImmediate);
      while (!client.writableNeedDrain && client.write(chunk)) writtenBytes += chunk.byteLength;
    }
    expect(writtenBytes).toBeLessThan(200 * 1024);
    controller.abort();
    expect(await result).toMatchObject({ ending: 'aborted' });
  });

  it.each(['left', 'right'] as const)('breaks when the %s side fails', async (side) => {
    const ends = joined();
    ends.client.write('some bytes');
    await sleep(10);
    ends[side].destroy(new Error('gone'));
    expect(await ends.result).toMatchObject({ ending: 'broken' });
    expect([ends.left.destroyed, ends.right.destroyed]).toEqual([true, true]);
  });

  it('breaks when a side closes without an error and without an end', async () => {
    const ends = joined();
    ends.left.destroy();
    expect(await ends.result).toMatchObject({ ending: 'broken' });
  });

  it('ends a silence, and no earlier than the last byte plus the limit', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { client, server, result } = joined({ idleTimeoutMs: 120 });
      server.resume();
      let isOver = false;
      void result.then(() => {
        isOver = true;
      });
      const letItFlow = async () => {
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      };
      for (let beat = 0; beat < 4; beat += 1) {
        client.write('x');
        await letItFlow();
        vi.advanceTimersByTime(119);
        await letItFlow();
        expect(isOver).toBe(false);
      }
      vi.advanceTimersByTime(1);
      expect(await result).toEqual({ ending: 'idle-timeout', leftToRightBytes: 4, rightToLeftBytes: 0 });
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes streams that are gone already, and a signal that has fired', async () => {
    const [a] = duplexPair();
    const [c] = duplexPair();
    a.destroy();
    expect(await splice(a, c, options)).toMatchObject({ ending: 'broken' });
    const [d] = duplexPair();
    const [e] = duplexPair();
    expect(await splice(d, e, { ...options, signal: AbortSignal.abort() })).toMatchObject({
      ending: 'aborted',
    });
    expect([d.destroyed, e.destroyed]).toEqual([true, true]);
  });
});
