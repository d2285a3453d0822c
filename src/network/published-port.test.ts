import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { duplexPair, listenTcp, readAll } from '../../test/network/support.js';
import { connectTcp } from './connect-first.js';
import { parsePortSpec } from './port-spec.js';
import {
  type DialGuest,
  type PublishedPortEvent,
  type PublishPortOptions,
  publishPort,
} from './published-port.js';

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function publish(dial: DialGuest, options: PublishPortOptions = {}) {
  const events: PublishedPortEvent[] = [];
  const published = await publishPort(parsePortSpec('80'), dial, {
    onEvent: (event) => events.push(event),
    ...options,
  });
  open.push(published);
  return { ...published, events };
}

function call(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  return socket;
}

/** A guest that answers every connection in memory. */
function guest(serve: (stream: Duplex) => void): DialGuest {
  return () => {
    const [inside, outside] = duplexPair();
    inside.on('error', () => {});
    serve(inside);
    return Promise.resolve(outside);
  };
}

const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

const soon = async (test: () => boolean) => {
  for (let turn = 0; turn < 6000 && !test(); turn += 1) await sleep(10);
  expect(test()).toBe(true);
};

describe('publishPort', () => {
  it('carries a connection into the guest and reports it', async () => {
    const { port, address, events } = await publish(guest((stream) => stream.pipe(stream)));
    expect([address, port > 0]).toEqual(['127.0.0.1', true]);
    const socket = call(port);
    socket.end('hello');
    expect(await readAll(socket)).toBe('hello');
    await soon(() => events.length === 1);
    expect(events[0]).toMatchObject({
      guestPort: 80,
      outcome: 'completed',
      bytesToGuest: 5,
      bytesFromGuest: 5,
      client: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    });
  });

  it('lets a client end its request and still read the answer, and the guest the same', async () => {
    const answerAtEnd = await publish(
      guest((stream) => {
        let seen = '';
        stream.on('data', (chunk: Buffer) => {
          seen += chunk.toString();
        });
        stream.on('end', () => void sleep(30).then(() => stream.end(`${seen} seen`)));
      }),
    );
    const client = call(answerAtEnd.port);
    client.end('request');
    expect(await readAll(client)).toBe('request seen');

    let inside: Duplex | undefined;
    const endsFirst = await publish(
      guest((stream) => {
        inside = stream;
        stream.end('banner');
      }),
    );
    const second = call(endsFirst.port);
    expect(await readAll(second)).toBe('banner');
    second.end('late words');
    expect(await readAll(inside!)).toBe('late words');
  });

  it('works over real sockets, 50 connections of 1 MiB each way', async () => {
    const server = await listenTcp((socket) => socket.pipe(socket));
    const { port, events } = await publish(({ signal }) => connectTcp('127.0.0.1', server.port, { signal }));
    const bytes = randomBytes(1024 * 1024);
    const expected = createHash('sha256').update(bytes).digest('hex');
    const hashes = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = call(port);
        const hash = createHash('sha256');
        socket.on('data', (chunk: Buffer) => hash.update(chunk));
        socket.end(bytes);
        await once(socket, 'end');
        socket.destroy();
        return hash.digest('hex');
      }),
    );
    expect(new Set(hashes)).toEqual(new Set([expected]));
    await soon(() => events.length === 50);
    expect(events.every(({ bytesFromGuest }) => bytesFromGuest === bytes.byteLength)).toBe(true);
    await server.close();
  });

  it('does not read ahead of a guest that does not', async () => {
    const { port } = await publish(guest(() => {}));
    const socket = call(port);
    const chunk = Buffer.alloc(256 * 1024);
    let takenBytes = 0;
    while (!socket.writableNeedDrain && takenBytes < 64 * 1024 * 1024) {
      takenBytes += chunk.byteLength;
      if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), sleep(500)]);
    }
    // Kernel buffers of both ends of the connection, and a few high-water marks.
    expect(takenBytes).toBeLessThan(32 * 1024 * 1024);
    expect(socket.writableNeedDrain).toBe(true);
    socket.destroy();
  });

  it.each([
    ['refuses', () => Promise.reject(new Error('refused'))],
    [
      'throws',
      () => {
        throw new Error('not connected');
      },
    ],
    ['never answers', () => new Promise<Duplex>(() => {})],
  ] as const)('resets the client when the guest %s', async (_name, dial) => {
    const { port, events } = await publish(dial, { limits: { dialTimeoutMs: 100 } });
    const socket = call(port);
    const errors: string[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    socket.write('x');
    await closed(socket);
    expect(errors).toEqual(['ECONNRESET']);
    await soon(() => events.length > 0);
    expect(events).toMatchObject([{ outcome: 'failed', bytesToGuest: 0 }]);
  });

  it('destroys a stream that the guest opens too late', async () => {
    const [inside, outside] = duplexPair();
    inside.on('error', () => {});
    let seen: AbortSignal | undefined;
    const { port } = await publish(
      async ({ signal }) => {
        seen = signal;
        await sleep(150);
        return outside;
      },
      { limits: { dialTimeoutMs: 50 } },
    );
    const socket = call(port);
    socket.write('x');
    await closed(socket);
    await soon(() => outside.destroyed);
    expect(seen?.aborted).toBe(true);
  });

  it('resets the client when the guest breaks off, so that cut data is not taken for whole', async () => {
    const { port, events } = await publish(
      guest((stream) => {
        stream.write('half of i');
        setTimeout(() => stream.destroy(), 30);
      }),
    );
    const socket = call(port);
    const errors: string[] = [];
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    socket.resume();
    await closed(socket);
    expect(errors).toEqual(['ECONNRESET']);
    await soon(() => events.length === 1);
    expect(events[0]?.outcome).toBe('broken');
  });

  it('resets connections beyond the limit and serves again below it', async () => {
    const { port, events } = await publish(
      guest((stream) => stream.pipe(stream)),
      { limits: { maxConnections: 2 } },
    );
    const held = [call(port), call(port)];
    for (const socket of held) {
      socket.write('x');
      await once(socket, 'data');
    }
    const third = call(port);
    third.write('x');
    await closed(third);
    await soon(() => events.length > 0);
    expect(events).toMatchObject([{ outcome: 'refused' }]);
    for (const socket of held) socket.end();
    await soon(() => events.length === 3);
    const fourth = call(port);
    fourth.end('again');
    expect(await readAll(fourth)).toBe('again');
  });

  it('ends silent connections', async () => {
    const { port, events } = await publish(
      guest(() => {}),
      { limits: { idleTimeoutMs: 80 } },
    );
    const socket = call(port);
    socket.resume();
    await closed(socket);
    await soon(() => events.length > 0);
    expect(events).toMatchObject([{ outcome: 'idle-timeout' }]);
  });

  it('close cuts what runs, frees the port, and may be called twice', async () => {
    const published = await publish(guest((stream) => stream.pipe(stream)));
    const socket = call(published.port);
    socket.write('x');
    await once(socket, 'data');
    await Promise.all([published.close(), published.close()]);
    await closed(socket);
    expect(published.events).toMatchObject([{ outcome: 'closed' }]);
    // Free, unless another program of this machine happens to have taken it meanwhile.
    let port = published.port;
    for (let turn = 0; turn < 10; turn += 1) {
      const again = await publishPort(
        parsePortSpec(`${port}:80`),
        guest(() => {}),
      ).catch(() => undefined);
      if (again !== undefined) {
        open.push(again);
        return expect(again.port).toBe(port);
      }
      const other = await publish(guest(() => {}));
      port = other.port;
      await other.close();
    }
    expect.fail('no port of a closed publication could be published again');
  });

  it('outlives a listener of events that throws', async () => {
    const { port } = await publish(
      guest((stream) => stream.pipe(stream)),
      {
        onEvent: () => {
          throw new Error('disk full');
        },
      },
    );
    for (const text of ['one', 'two']) {
      const socket = call(port);
      socket.end(text);
      expect(await readAll(socket)).toBe(text);
    }
  });

  it('closes when its signal aborts, and rejects with the reason when it had before', async () => {
    const controller = new AbortController();
    const { port } = await publish(
      guest(() => {}),
      { signal: controller.signal },
    );
    controller.abort(new Error('stop'));
    await soon(() => controller.signal.aborted);
    const socket = call(port);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    await expect(
      publish(
        guest(() => {}),
        { signal: controller.signal },
      ),
    ).rejects.toThrow('stop');
  });
});

describe('publishPort refuses', () => {
  it('a port in use, by name', async () => {
    const taken = await listenTcp(() => {});
    open.push(taken);
    await expect(
      publishPort(
        parsePortSpec(`${taken.port}:80`),
        guest(() => {}),
      ),
    ).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      kind: 'conflict',
      details: { address: '127.0.0.1', port: taken.port, guestPort: 80, errno: 'EADDRINUSE' },
    });
  });

  it('an address of another machine', async () => {
    await expect(
      publishPort(
        { address: '192.0.2.1', hostPort: 0, guestPort: 80 },
        guest(() => {}),
      ),
    ).rejects.toMatchObject({ code: 'PORT_ADDRESS_UNAVAILABLE', kind: 'usage' });
  });
});
