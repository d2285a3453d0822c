/** What a hostile guest tries on its egress proxy, and what it costs the host. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { createEgressProxy, type EgressEvent } from '../../src/network/index.js';
import { duplexPair, exchange, isLast, listenTcp, openTunnel, readAll, startProxy } from './support.js';

const MIB = 1024 * 1024;
setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

const mib = (bytes: number) => (bytes / MIB).toFixed(1);
const FLOOD = new URL('./flood.mjs', import.meta.url).pathname;
const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A proxy for one host that is a stream in memory, and everything that host was ever sent. */
function inMemory(onHost: (stream: Duplex) => void = () => {}, limits = {}) {
  const events: EgressEvent[] = [];
  const received: string[] = [];
  const proxy = createEgressProxy({
    policy: { mode: 'allow-list', hosts: ['a.test'] },
    onDecision: (event) => events.push(event),
    resolve: () => Promise.resolve(['93.184.216.34']),
    connect: () => {
      const [near, far] = duplexPair();
      far.on('error', () => {});
      const index = received.push('') - 1;
      far.on('data', (chunk: Buffer) => {
        received[index] += chunk.toString('latin1');
      });
      onHost(far);
      return Promise.resolve(near);
    },
    limits,
  });
  open.push({ close: async () => proxy.close() });
  const guest = () => {
    const [near, far] = duplexPair();
    near.on('error', () => {});
    proxy.handle(far);
    return near;
  };
  return { proxy, events, received, guest };
}

const ok = (stream: Duplex) => {
  stream.once('data', () => stream.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
};

async function tell(guest: Duplex, text: string, timeoutMs = 3000): Promise<string> {
  guest.write(Buffer.from(text, 'latin1'));
  return readAll(guest, timeoutMs);
}

const request = (fields: string, rest = '', line = 'POST http://a.test/ HTTP/1.1') =>
  `${line}\r\nHost: a.test\r\nConnection: close\r\n${fields}\r\n${rest}`;

describe('a message that two readers could understand differently', () => {
  it.each([
    ['length and chunks', request('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nGET /')],
    ['chunks and length', request('Transfer-Encoding: chunked\r\nContent-Length: 6\r\n', '0\r\n\r\nGET /')],
    ['two lengths', request('Content-Length: 3\r\nContent-Length: 5\r\n', 'abcde')],
    ['the same length twice', request('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc')],
    ['a list of lengths', request('Content-Length: 3, 3\r\n', 'abc')],
    ['a signed length', request('Content-Length: +3\r\n', 'abc')],
    ['a negative length', request('Content-Length: -3\r\n', 'abc')],
    ['a hexadecimal length', request('Content-Length: 0x3\r\n', 'abc')],
    ['a length of 2^64', request('Content-Length: 18446744073709551616\r\n', 'abc')],
    ['a coding that is not chunked', request('Transfer-Encoding: identity\r\n', 'abc')],
    ['chunked not last', request('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n')],
    ['chunked after another', request('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['chunked twice', request('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['almost chunked', request('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['a vertical tab', request('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n')],
    ['a space before the colon', request('Transfer-Encoding : chunked\r\n', '0\r\n\r\n')],
    ['a folded field', request('X: 1\r\n folded\r\n')],
    ['a folded first field', 'GET http://a.test/ HTTP/1.1\r\n X: 1\r\nHost: a.test\r\n\r\n'],
    ['two hosts', request('Host: b.test\r\n')],
    ['no host', 'GET http://a.test/ HTTP/1.1\r\n\r\n'],
    ['bare line feeds', 'GET http://a.test/ HTTP/1.1\nHost: a.test\n\n'],
    ['a bare carriage return', request('X: a\rY: b\r\n')],
    ['a null byte', request('X: a\0b\r\n')],
    ['a field without a colon', request('X\r\n')],
    ['an empty field name', request(': x\r\n')],
    [
      'chunks in HTTP/1.0',
      request('Transfer-Encoding: chunked\r\n', '0\r\n\r\n', 'POST http://a.test/ HTTP/1.0'),
    ],
    ['another version', request('', '', 'GET http://a.test/ HTTP/3.7')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/0.9', 'GET http://a.test/\r\n\r\n'],
    ['a made-up method', request('', '', 'GETX http://a.test/ HTTP/1.1')],
    ['TRACE', request('', '', 'TRACE http://a.test/ HTTP/1.1')],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['SOCKS', '\x05\x01\x00'],
  ])('is refused: %s', async (_name, text) => {
    const { guest, events, received } = inMemory(ok);
    expect(await tell(guest(), text)).toMatch(/^HTTP\/1\.1 (400|501) /);
    expect(received).toEqual([]);
    expect(events).toMatchObject([{ decision: 'denied' }]);
  });

  it.each([
    ['a size in hexadecimal with a prefix', '0x3\r\nabc\r\n0\r\n\r\n'],
    ['a size of 2^68', '100000000000000000\r\nabc\r\n0\r\n\r\n'],
    ['a negative size', '-3\r\nabc\r\n0\r\n\r\n'],
    ['a size without carriage return', '3\nabc\r\n0\r\n\r\n'],
    ['an extension ended by a bare line feed', '3;x\nabc\r\n0\r\n\r\n'],
    ['more data than the size', '3\r\nabcd\r\n0\r\n\r\n'],
    ['no size', '\r\nabc\r\n0\r\n\r\n'],
  ])('is cut off when it turns up in the body: %s', async (_name, chunks) => {
    const { guest, received } = inMemory(() => {});
    expect(await tell(guest(), request('Transfer-Encoding: chunked\r\n', chunks))).toBe('');
    // The host may have seen the beginning; never the end that makes a message of it.
    expect(received.join('')).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  it('whatever the guest sends, a host sees whole requests for itself and nothing behind them', async () => {
    const word = fc.constantFrom(
      ...['GET ', 'POST ', 'CONNECT ', 'http://a.test/', 'http://b.test/', 'a.test:443', ' HTTP/1.1\r\n'],
      ...['Host: a.test\r\n', 'Host: b.test\r\n', 'Content-Length: 5\r\n', 'Content-Length: 0\r\n'],
      ...['Transfer-Encoding: chunked\r\n', 'Connection: close, host\r\n', 'Expect: 100-continue\r\n'],
      ...[
        'Upgrade: websocket\r\n',
        '\r\n',
        '\n',
        '\r',
        ' ',
        '0\r\n\r\n',
        '5\r\nabcde\r\n',
        'abcde',
        '\0',
        '\xff',
      ],
    );
    const whole = fc.constantFrom(
      'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n',
      'POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nabcde',
      'POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n',
    );
    const script = fc.array(fc.oneof({ weight: 3, arbitrary: word }, { weight: 1, arbitrary: whole }), {
      minLength: 1,
      maxLength: 14,
    });
    const message =
      /^[A-Z]+ \/ HTTP\/1\.1\r\nHost: a\.test\r\n(?:[!-9;-~]+: [^\r\n]*\r\n)*Via: 1\.1 hearth\r\nConnection: close\r\n\r\n([\s\S]*)$/;
    await fc.assert(
      fc.asyncProperty(script, async (words) => {
        const { proxy, guest, received, events } = inMemory(ok, {
          headTimeoutMs: 60,
          tunnelIdleTimeoutMs: 60,
        });
        await tell(guest(), words.join(''), 100);
        proxy.close();
        const tunnels = events.filter(({ kind, reason }) => kind === 'connect' && reason === 'open').length;
        const forwarded = received.filter((bytes) => bytes !== '' && message.test(bytes));
        expect(received.filter((bytes) => bytes !== '').length - forwarded.length).toBeLessThanOrEqual(
          tunnels,
        );
        for (const bytes of forwarded)
          expect(message.exec(bytes)?.[1]).toMatch(
            /^(?:abcde|5\r\nabcde\r\n(?:0\r\n\r\n)?|0\r\n\r\n)?$|^[\s\S]{0,5}$/,
          );
        expect(
          events.filter(({ decision }) => decision === 'allowed').every(({ host }) => host === 'a.test'),
        ).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('limits', () => {
  it('32 KiB of headers', async () => {
    const { guest, events, received } = inMemory(ok);
    const sized = (bytes: number) => request(`X: ${'x'.repeat(bytes)}\r\n`);
    expect(await tell(guest(), sized(32 * 1024 - 200))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await tell(guest(), sized(32 * 1024 + 1))).toMatch(/^HTTP\/1\.1 431 /);
    expect(events).toMatchObject([
      { decision: 'allowed' },
      { decision: 'denied', reason: 'headers-too-large' },
    ]);
    expect(received).toHaveLength(1);
  });

  it('128 headers', async () => {
    const { guest, received } = inMemory(ok);
    const counted = (count: number) => request('X: 1\r\n'.repeat(count - 2));
    expect(await tell(guest(), counted(128))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await tell(guest(), counted(129))).toMatch(/^HTTP\/1\.1 431 /);
    expect(received).toHaveLength(1);
  });

  it.each([
    ['nothing', ''],
    ['half a head', 'GET http://a.test/ HTTP/1.1\r\nHost: a'],
  ])('a guest that sends %s is let go in time', async (_name, text) => {
    const { guest } = inMemory(ok, { headTimeoutMs: 100 });
    const startedAt = performance.now();
    expect(await tell(guest(), text)).toBe('');
    expect(performance.now() - startedAt).toBeLessThan(30_000);
  });

  it('a head that trickles does not win time', async () => {
    const { guest } = inMemory(ok, { headTimeoutMs: 200 });
    const stream = guest();
    const startedAt = performance.now();
    const trickle = setInterval(() => stream.write('X: 1\r\n'), 20);
    stream.write('GET http://a.test/ HTTP/1.1\r\n');
    await readAll(stream);
    clearInterval(trickle);
    expect(performance.now() - startedAt).toBeLessThan(30_000);
  });

  it('an idle connection after a response is let go', async () => {
    const { guest } = inMemory(ok, { headTimeoutMs: 100 });
    const answer = await tell(guest(), 'GET http://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(answer).toMatch(/200 OK[\s\S]*\r\n\r\nok$/);
  });

  it('connections at once: the next one is told, a flood of them reported once a second', async () => {
    const { guest, events } = inMemory(ok, { maxConnections: 3 });
    const startedAt = performance.now();
    const held = [guest(), guest(), guest()];
    expect(await tell(guest(), '')).toMatch(/^HTTP\/1\.1 503 /);
    for (let index = 0; index < 1000; index += 1) guest();
    await sleep(20);
    const seconds = Math.floor((performance.now() - startedAt) / 1000);
    expect(events.length).toBeLessThanOrEqual(1 + seconds);
    expect(events[0]).toMatchObject({ decision: 'denied', reason: 'connections-too-many' });
    held[0]!.destroy();
    await sleep(20);
    expect(await tell(guest(), request(''))).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('pipelined requests', async () => {
    const { guest, events, received } = inMemory(() => {}, { maxPipelinedRequests: 4 });
    const one = 'GET http://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n';
    const answer = tell(guest(), one.repeat(10_000));
    expect(await answer).toBe('');
    expect(received.length).toBeLessThanOrEqual(1);
    expect(events.filter(({ decision }) => decision === 'denied')).toMatchObject([
      { reason: 'pipeline-too-long' },
    ]);
  });

  it('a refused request with a body that never ends', async () => {
    const { guest } = inMemory(ok);
    const stream = guest();
    stream.write('POST http://b.test/ HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `1000\r\n${'x'.repeat(0x1000)}\r\n`;
    const flood = setInterval(() => stream.write(chunk), 5);
    expect(await readAll(stream)).toMatch(/^HTTP\/1\.1 403 /);
    clearInterval(flood);
    await expect.poll(() => stream.destroyed).toBe(true);
  });

  it('a flood behind a refusal is not read', async () => {
    const { guest } = inMemory(ok);
    const stream = guest();
    stream.write('CONNECT b.test:443 HTTP/1.1\r\nHost: b\r\n\r\n');
    const answer = readAll(stream);
    let takenBytes = 0;
    const chunk = Buffer.alloc(8192);
    while (!stream.destroyed) {
      if (!stream.writableNeedDrain) {
        stream.write(chunk);
        takenBytes += chunk.byteLength;
      }
      await new Promise(setImmediate);
    }
    expect(await answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(takenBytes).toBeLessThan(256 * 1024);
  });
});

describe('memory', () => {
  it('a host that does not read stops the guest, in a tunnel and in a request', async () => {
    const silent = (stream: Duplex) => void stream.pause();
    for (const head of [
      'CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\n\r\n',
      `POST http://a.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${1024 * MIB}\r\n\r\n`,
    ]) {
      const { guest } = inMemory(silent);
      const stream = guest();
      stream.write(head);
      await sleep(20);
      const chunk = Buffer.alloc(16 * 1024);
      let takenBytes = 0;
      for (let turn = 0; turn < 400; turn += 1) {
        if (!stream.writableNeedDrain) {
          stream.write(chunk);
          takenBytes += chunk.byteLength;
        }
        await new Promise(setImmediate);
      }
      expect(takenBytes).toBeLessThan(512 * 1024);
      stream.destroy();
    }
  });

  it('a guest that does not read stops the host, in a tunnel and in a response', async () => {
    const endless = { takenBytes: 0 };
    const host = await listenTcp((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const more = () => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536))) endless.takenBytes += 65_536;
          if (!socket.destroyed) socket.once('drain', more);
        };
        more();
      });
    });
    const authority = `a.test:${host.port}`;
    const proxy = await startProxy({ policy: { mode: 'allow-list', hosts: [`${authority}=127.0.0.1`] } });
    open.push(host, proxy);
    for (const text of [
      `GET http://${authority}/ HTTP/1.1\r\nHost: a\r\n\r\n`,
      `CONNECT ${authority} HTTP/1.1\r\nHost: a\r\n\r\nx`,
    ]) {
      endless.takenBytes = 0;
      const [guest, outside] = duplexPair();
      guest.on('error', () => {});
      proxy.proxy.handle(outside);
      guest.write(text);
      // Until what the kernel's socket buffers hold is full, and no more is taken.
      let afterAWhile = -1;
      while ((endless.takenBytes === 0 || endless.takenBytes > afterAWhile) && afterAWhile < 16 * MIB) {
        afterAWhile = endless.takenBytes;
        await sleep(300);
      }
      expect(endless.takenBytes).toBe(afterAWhile);
      expect(afterAWhile).toBeLessThan(16 * MIB);
      guest.destroy();
    }
  });

  it('floods of every kind together hold less than 64 MiB, and another guest is served', async () => {
    const flood = spawn(process.execPath, [FLOOD], { stdio: ['pipe', 'pipe', 'inherit'] });
    const accomplice = Number(String((await once(flood.stdout, 'data'))[0]));
    const host = await listenTcp((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    });
    const serving = (port: number) =>
      startProxy({ policy: { mode: 'allow-list', hosts: [`a.test:${port}=127.0.0.1`] } });
    const [hostile, friendly] = [await serving(accomplice), await serving(host.port)];
    open.push(host, hostile, friendly);
    const ask = () =>
      exchange(
        friendly.port,
        `GET http://a.test:${host.port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      );
    // Ordinary work first, so that what the engine grows to under any load is not counted.
    for (let turn = 0; turn < 10; turn += 1) await Promise.all(Array.from({ length: 60 }, ask));
    collectGarbage();
    const before = process.memoryUsage();
    flood.stdin.write(`${hostile.port}\n`);
    // What is held, and what the process has taken from the system for it and for garbage.
    const peak = { heldBytes: 0, residentBytes: 0 };
    const latencies: number[] = [];
    const stopAt = Date.now() + 6000;
    while (Date.now() < stopAt || latencies.length <= 3) {
      const startedAt = performance.now();
      expect(await ask()).toMatch(/^HTTP\/1\.1 200 /);
      latencies.push(performance.now() - startedAt);
      peak.residentBytes = Math.max(peak.residentBytes, process.memoryUsage().rss - before.rss);
      if (latencies.length % 5 === 0) {
        collectGarbage();
        const { heapUsed, external } = process.memoryUsage();
        const heldBytes = heapUsed + external - before.heapUsed - before.external;
        peak.heldBytes = Math.max(peak.heldBytes, heldBytes);
      }
      await sleep(20);
    }
    flood.stdin.end();
    await once(flood, 'exit');
    const median = latencies.sort((a, b) => a - b)[latencies.length >> 1] ?? Number.NaN;
    console.log(
      `flood: held +${mib(peak.heldBytes)} MiB, resident +${mib(peak.residentBytes)} MiB, another guest's request p50 ${median.toFixed(1)} ms, ${hostile.events.length} events`,
    );
    expect(peak.heldBytes).toBeLessThan(64 * MIB);
    expect(peak.residentBytes).toBeLessThan(128 * MIB);
    expect(latencies.length).toBeGreaterThan(3);
  });
});

it('random bytes never hurt: the proxy answers the next guest', async () => {
  const { guest, proxy } = inMemory(ok, { headTimeoutMs: 20 });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
      const stream = guest();
      stream.end(Buffer.from(bytes));
      expect(await readAll(stream, 500)).toMatch(/^(HTTP\/1\.1 [45]\d\d |$)/);
    }),
    { numRuns: 500 },
  );
  expect(await tell(guest(), request(''))).toMatch(/^HTTP\/1\.1 200 /);
  proxy.close();
});

it('a stream that fails at any moment costs nothing but itself', async () => {
  const host = await listenTcp((socket) => socket.pipe(socket));
  const proxy = await startProxy({
    policy: { mode: 'allow-list', hosts: [`a.test:${host.port}=127.0.0.1`] },
  });
  open.push(host, proxy);
  const text = `CONNECT a.test:${host.port} HTTP/1.1\r\nHost: a\r\n\r\n0123456789`;
  for (let length = 0; length <= text.length; length += 3) {
    const [guest, outside] = duplexPair();
    guest.on('error', () => {});
    proxy.proxy.handle(outside);
    guest.write(text.slice(0, length));
    await sleep(length % 4);
    outside.destroy(new Error('channel lost'));
  }
  const { socket, head } = await openTunnel(proxy.port, `a.test:${host.port}`);
  expect(head).toMatch(/200/);
  socket.end('still here');
  expect(await readAll(socket)).toBe('still here');
  await proxy.event((event) => isLast(event) && event.reason === 'completed');
  const opened = proxy.events.filter(({ reason }) => reason === 'open').length;
  expect(proxy.events.filter((event) => isLast(event) && event.decision === 'allowed')).toHaveLength(opened);
});
