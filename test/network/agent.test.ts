/** Proxy and published ports over the real agent's streams: the agent runs as an ordinary process. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEgressProxy, type EgressEvent, parsePortSpec, publishPort } from '../../src/network/index.js';
import { type LocalAgent, startLocalAgent } from '../support/agent.js';
import { exchange, isLast, listenTcp, openTunnel, readAll } from './support.js';

const open: Array<{ close(): unknown }> = [];
let agent: LocalAgent;
beforeEach(async () => {
  agent = await startLocalAgent();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await agent.close();
});

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Sends `bytes` and their end, and hashes everything that comes back. */
async function echoHash(socket: Socket, bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  socket.end(bytes);
  await once(socket, 'end');
  socket.destroy();
  return hash.digest('hex');
}

describe('the egress proxy behind a port of the guest', () => {
  async function setUp(onConnection: (socket: Socket) => void) {
    const host = await listenTcp(onConnection);
    const events: EgressEvent[] = [];
    const authority = `tcp.test:${host.port}`;
    const proxy = createEgressProxy({
      policy: { mode: 'allow-list', hosts: [`${authority}=127.0.0.1`] },
      onDecision: (event) => events.push(event),
    });
    const listener = await agent.client.listen({ port: 0 }, (stream) => proxy.handle(stream));
    open.push(host, listener, proxy);
    return { port: listener.port, authority, events };
  }

  it('forwards, refuses and tunnels', async () => {
    const { port, authority, events } = await setUp((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    });
    const ask = (url: string) =>
      exchange(port, `GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(await ask(`http://${authority}/`)).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*ok$/);
    expect(await ask('http://other.test/')).toMatch(/^HTTP\/1\.1 403 [\s\S]*--allow-host other\.test\n$/);
    expect((await openTunnel(port, 'other.test:443')).head).toMatch(/^HTTP\/1\.1 403 /);
    expect(events.map(({ decision }) => decision)).toEqual(['allowed', 'denied', 'denied']);
  });

  it('carries 1 MiB each way in 50 tunnels at once, unharmed', async () => {
    const { port, authority, events } = await setUp((socket) => socket.pipe(socket));
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const bytes = randomBytes(1024 * 1024);
        const { socket } = await openTunnel(port, authority);
        expect(await echoHash(socket, bytes)).toBe(sha256(bytes));
      }),
    );
    console.log(`50 tunnels of 1 MiB each way: ${Math.round(performance.now() - startedAt)} ms`);
    await expect.poll(() => events.filter(isLast).length).toBe(50);
    expect(events.filter(isLast).map(({ reason }) => reason)).toEqual(new Array(50).fill('completed'));
  });

  it('half-closes', async () => {
    const { port, authority } = await setUp((socket) => {
      let seen = '';
      socket.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
      });
      socket.on('end', () => setTimeout(() => socket.end(`${seen} seen`), 50));
    });
    const { socket } = await openTunnel(port, authority);
    socket.end('all of it');
    expect(await readAll(socket)).toBe('all of it seen');
  });
});

describe('a published port of the guest', () => {
  const publish = async (guestPort: number) => {
    const outcomes: string[] = [];
    const published = await publishPort(
      parsePortSpec(String(guestPort)),
      ({ signal }) => agent.client.connect({ port: guestPort }, { signal }),
      { onEvent: ({ outcome }) => outcomes.push(outcome) },
    );
    open.push(published);
    return { port: published.port, outcomes };
  };
  const call = (port: number) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.on('error', () => {});
    return socket;
  };

  it('carries 1 MiB each way over 50 connections at once, unharmed', async () => {
    const service = await listenTcp((socket) => socket.pipe(socket));
    open.push(service);
    const { port, outcomes } = await publish(service.port);
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, async () => {
        const bytes = randomBytes(1024 * 1024);
        expect(await echoHash(call(port), bytes)).toBe(sha256(bytes));
      }),
    );
    expect(
      results.filter(({ status }) => status === 'rejected'),
      outcomes.join(),
    ).toEqual([]);
  });

  it('gives a slow reader everything, though all the others have ended long before', async () => {
    const bytes = randomBytes(6 * 1024 * 1024);
    const service = await listenTcp((socket) => {
      socket.resume();
      socket.end(bytes);
    });
    open.push(service);
    const { port, outcomes } = await publish(service.port);
    const hashes = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const socket = call(port);
        socket.end();
        const hash = createHash('sha256');
        let seenBytes = 0;
        for await (const chunk of socket) {
          hash.update(chunk);
          seenBytes += chunk.byteLength;
          if (seenBytes % 7 === 0) await sleep(index);
          if (seenBytes > 0 && seenBytes < 100_000) await sleep(100 + index);
        }
        return hash.digest('hex');
      }),
    );
    expect(new Set(hashes), outcomes.join()).toEqual(new Set([sha256(bytes)]));
  });

  it('half-closes, and resets when nobody listens', async () => {
    const service = await listenTcp((socket) => {
      let seen = '';
      socket.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
      });
      socket.on('end', () => setTimeout(() => socket.end(`${seen} seen`), 50));
    });
    open.push(service);
    const { port } = await publish(service.port);
    const polite = call(port);
    polite.end('request');
    expect(await readAll(polite)).toBe('request seen');

    await service.close();
    const refused = call(port);
    refused.write('x');
    const errors: unknown[] = [];
    refused.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
    await new Promise((resolve) => refused.once('close', resolve));
    expect(errors).toEqual(['ECONNRESET']);
  });
});
