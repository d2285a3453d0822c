/** CONNECT tunnels, against real servers on loopback. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import {
  duplexPair,
  exchange,
  isLast,
  listenTcp,
  openTunnel,
  type ProxyFixture,
  readAll,
  startProxy,
} from './support.js';

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function setUp(onConnection: Parameters<typeof listenTcp>[0], limits = {}) {
  const host = await listenTcp(onConnection);
  const authority = `tcp.test:${host.port}`;
  const proxy = await startProxy({
    policy: { mode: 'allow-list', hosts: [`${authority}=127.0.0.1`] },
    limits,
  });
  open.push(host, proxy);
  return { host, proxy, authority };
}

describe('a tunnel', () => {
  it('opens, carries both ways, and is on record from its start to its end', async () => {
    const { proxy, authority } = await setUp((socket) => socket.pipe(socket));
    const { socket, head } = await openTunnel(proxy.port, authority);
    expect(head).toBe('HTTP/1.1 200 Connection established\r\n');
    expect(proxy.events).toMatchObject([{ id: 1, decision: 'allowed', reason: 'open', bytesUp: 0 }]);
    socket.end('hello');
    expect(await readAll(socket)).toBe('hello');
    expect(await proxy.event(isLast)).toMatchObject({
      id: 1,
      kind: 'connect',
      host: 'tcp.test',
      address: '127.0.0.1',
      rule: `${authority}=127.0.0.1`,
      decision: 'allowed',
      reason: 'completed',
      bytesUp: 5,
      bytesDown: 5,
    });
    expect(proxy.events).toHaveLength(2);
  });

  it('takes what the guest sent together with its request, and a host that speaks first', async () => {
    const { proxy, authority } = await setUp((socket) => {
      socket.write('banner ');
      socket.pipe(socket);
    });
    const answer = exchange(proxy.port, `CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\nearly`, 1000);
    expect(await answer).toBe('HTTP/1.1 200 Connection established\r\n\r\nbanner early');
  });

  it('half-closes in either direction', async () => {
    const { proxy, authority } = await setUp((socket) => {
      let seen = '';
      socket.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        if (seen === 'first') socket.end('host has ended');
      });
      socket.on('end', () => {
        if (!socket.writableEnded) void sleep(50).then(() => socket.end(`got ${seen}`));
      });
    });
    const guestEnds = await openTunnel(proxy.port, authority);
    guestEnds.socket.end('question');
    expect(await readAll(guestEnds.socket)).toBe('got question');

    const hostEnds = await openTunnel(proxy.port, authority);
    hostEnds.socket.write('first');
    expect(await readAll(hostEnds.socket)).toBe('host has ended');
    hostEnds.socket.end(' and more');
    const last = await proxy.event((event) => event.id === 2 && isLast(event));
    expect(last).toMatchObject({ reason: 'completed', bytesUp: 14, bytesDown: 14 });
  });

  it('carries 1 MiB each way in 50 tunnels at once, unharmed', async () => {
    const { proxy, authority } = await setUp((socket) => socket.pipe(socket));
    const digests = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const bytes = randomBytes(1024 * 1024);
        const { socket } = await openTunnel(proxy.port, authority);
        const hash = createHash('sha256');
        socket.on('data', (chunk: Buffer) => hash.update(chunk));
        socket.end(bytes);
        await once(socket, 'end');
        socket.destroy();
        return [createHash('sha256').update(bytes).digest('hex'), hash.digest('hex')];
      }),
    );
    for (const [sent, received] of digests) expect(received).toBe(sent);
    await proxy.event((event) => isLast(event) && event.id === 50);
    const total = proxy.events.filter(isLast).reduce((sum, { bytesUp }) => sum + bytesUp, 0);
    expect(total).toBe(50 * 1024 * 1024);
  });

  it('runs over a stream in memory as over a socket', async () => {
    const { proxy, authority } = await setUp((socket) => socket.pipe(socket));
    const [guest, outside] = duplexPair();
    proxy.proxy.handle(outside);
    const bytes = randomBytes(1024 * 1024);
    guest.write(`CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`);
    guest.end(bytes);
    const answer = await readAll(guest);
    const head = 'HTTP/1.1 200 Connection established\r\n\r\n';
    expect(answer.startsWith(head)).toBe(true);
    expect(Buffer.from(answer, 'latin1').subarray(head.length).equals(bytes)).toBe(true);
  });

  it('breaks on the other side when one side breaks', async () => {
    const { proxy, authority } = await setUp((socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    const { socket } = await openTunnel(proxy.port, authority);
    const errors: string[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    socket.resume();
    socket.write('x');
    await new Promise((resolve) => socket.once('close', resolve));
    expect(errors).toEqual(['ECONNRESET']);
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'allowed', reason: 'broken', bytesUp: 1 });
  });

  it('ends when nothing moves', async () => {
    const { proxy, authority } = await setUp(() => {}, { tunnelIdleTimeoutMs: 100 });
    const { socket } = await openTunnel(proxy.port, authority);
    await readAll(socket);
    expect(await proxy.event(isLast)).toMatchObject({ reason: 'idle-timeout' });
  });

  it('outlives the time that a request may take to arrive', async () => {
    const { proxy, authority } = await setUp((socket) => socket.pipe(socket), { headTimeoutMs: 2000 });
    const { socket } = await openTunnel(proxy.port, authority);
    await sleep(2500);
    socket.end('still open');
    expect(await readAll(socket)).toBe('still open');
  });

  it('ends with the proxy, which takes no stream any more', async () => {
    const { proxy, authority } = await setUp(() => {});
    const { socket } = await openTunnel(proxy.port, authority);
    proxy.proxy.close();
    proxy.proxy.close();
    await readAll(socket);
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'allowed', reason: 'closed-by-proxy' });
    expect(await exchange(proxy.port, `CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`)).toBe('');
    expect(proxy.events).toHaveLength(2);
  });

  it('is cut when its decision cannot be recorded', async () => {
    const host = await listenTcp((socket) => socket.pipe(socket));
    open.push(host);
    const { createEgressProxy } = await import('../../src/network/index.js');
    const proxy = createEgressProxy({
      policy: { mode: 'allow-list', hosts: [`tcp.test:${host.port}=127.0.0.1`] },
      onDecision() {
        throw new Error('disk full');
      },
    });
    const server = await listenTcp((socket) => proxy.handle(socket));
    open.push(server);
    const { head } = await openTunnel(server.port, `tcp.test:${host.port}`);
    expect(head).toBe('');
  });
});

describe('a tunnel is refused', () => {
  const ask = async (proxy: ProxyFixture, authority: string, more = '', version = '1.1') =>
    exchange(proxy.port, `CONNECT ${authority} HTTP/${version}\r\nHost: x\r\n${more}\r\n`);

  it('with the flag that would allow it', async () => {
    const { proxy } = await setUp(() => {});
    const answer = await ask(proxy, 'other.test:443');
    expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden by hearth: allow with --allow-host other\.test\r\n/);
    expect(answer).toMatch(
      /Content-Type: text\/plain[\s\S]*Connection: close[\s\S]*--allow-host other\.test\n$/,
    );
    expect(await ask(proxy, 'other.test:8443')).toContain('--allow-host other.test:8443\n');
    expect(proxy.events).toMatchObject([
      { kind: 'connect', decision: 'denied', reason: 'host-not-allowed', host: 'other.test', port: 443 },
      { kind: 'connect', decision: 'denied', reason: 'host-not-allowed', host: 'other.test', port: 8443 },
    ]);
  });

  it.each([
    ['a.test', 400],
    ['a.test:', 400],
    ['a.test:0', 400],
    ['a.test:65536', 400],
    ['user@a.test:443', 400],
    ['0x7f.1:443', 400],
    ['2130706433:443', 400],
    ['127.1:443', 400],
    ['127.0.0.1:443', 403],
    ['[::1]:443', 403],
    ['[::ffff:7f00:1]:443', 403],
    ['[64:ff9b::7f00:1]:443', 403],
    ['169.254.169.254:80', 403],
    ['localhost:443', 403],
    ['a.test:22', 403],
  ])('to %s: %i', async (authority, status) => {
    const proxy = await startProxy({ policy: { mode: 'public' } });
    open.push(proxy);
    expect(await ask(proxy, authority)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(proxy.events).toMatchObject([{ decision: 'denied' }]);
  });

  it.each([
    ['a body', 'Content-Length: 5\r\n', 400],
    ['chunks', 'Transfer-Encoding: chunked\r\n', 400],
    ['two hosts', 'Host: y\r\n', 400],
    ['a body of nothing', 'Content-Length: 0\r\n', 200],
  ])('with %s', async (_name, more, status) => {
    const { proxy, authority } = await setUp((socket) => socket.end());
    expect(await ask(proxy, authority, more)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('behind requests that have not been answered', async () => {
    const { proxy, authority } = await setUp(() => {});
    const answer = await exchange(
      proxy.port,
      `GET http://${authority}/ HTTP/1.1\r\nHost: x\r\n\r\nCONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    expect(answer).toBe('');
  });

  it('when nothing listens there', async () => {
    const gone = await listenTcp(() => {});
    await gone.close();
    const proxy = await startProxy({
      policy: { mode: 'allow-list', hosts: [`host.hearth.internal:${gone.port}`] },
    });
    open.push(proxy);
    expect(await ask(proxy, `host.hearth.internal:${gone.port}`)).toMatch(/^HTTP\/1\.1 502 /);
    expect(proxy.events).toMatchObject([
      { decision: 'failed', reason: 'connect-failed', address: '127.0.0.1' },
    ]);
  });

  it('and the record kept when the guest does not wait for the answer', async () => {
    let reached = () => {};
    const connecting = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const proxy = await startProxy({
      policy: { mode: 'public' },
      connect: () => {
        reached();
        return new Promise(() => {});
      },
      resolve: () => Promise.resolve(['93.184.216.34']),
    });
    open.push(proxy);
    const socket = connect(proxy.port, '127.0.0.1');
    socket.write('CONNECT a.test:443 HTTP/1.1\r\nHost: x\r\n\r\n');
    await connecting;
    socket.resetAndDestroy();
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'failed', reason: 'abandoned' });
  });
});

it('this machine is reached by its alias, on the named port only', async () => {
  const host = await listenTcp((socket) => socket.end('service'));
  const proxy = await startProxy({
    policy: { mode: 'public', hosts: [`host.hearth.internal:${host.port}`] },
  });
  open.push(host, proxy);
  const { socket } = await openTunnel(proxy.port, `host.hearth.internal:${host.port}`);
  expect(await readAll(socket)).toBe('service');
  const { head } = await openTunnel(proxy.port, 'host.hearth.internal:1');
  expect(head).toMatch(/^HTTP\/1\.1 403 /);
});
