/** Guests, hosts and events for the tests of guest networking. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import {
  createEgressProxy,
  type EgressEvent,
  type EgressProxy,
  type EgressProxyOptions,
} from '../../src/network/index.js';

/** Two ends of a stream in memory, each with buffers of `highWaterMark` bytes, like an agent's streams. */
export function duplexPair(highWaterMark = 16 * 1024): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const wakes: Array<(() => void) | undefined> = [undefined, undefined];
  for (const index of [0, 1]) {
    ends.push(
      new Duplex({
        highWaterMark,
        read() {
          const wake = wakes[index];
          wakes[index] = undefined;
          wake?.();
        },
        write(chunk: Buffer, _encoding, callback) {
          if (ends[1 - index]!.push(chunk)) callback();
          else wakes[1 - index] = callback;
        },
        final(callback) {
          ends[1 - index]!.push(null);
          callback();
        },
        destroy(error, callback) {
          callback(error);
          const other = ends[1 - index]!;
          if (!other.destroyed && !(this.readableEnded && this.writableFinished)) {
            setImmediate(() => other.destroy(new Error('the other end was destroyed')));
          }
        },
      }),
    );
  }
  return [ends[0]!, ends[1]!];
}

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

/** A TCP server on a free port of loopback. */
export async function listenTcp(onConnection: (socket: Socket) => void): Promise<Listening> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  return listening(server);
}

/** Makes any server listen on a free port of loopback; closing also cuts what is connected. */
export async function listening(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface ProxyFixture {
  readonly proxy: EgressProxy;
  /** Port on loopback whose connections the proxy handles, as the guest's port would be. */
  readonly port: number;
  readonly events: EgressEvent[];
  /** Resolves once an event passes `test`. */
  event(test: (event: EgressEvent) => boolean): Promise<EgressEvent>;
  close(): Promise<void>;
}

export async function startProxy(options: Omit<EgressProxyOptions, 'onDecision'>): Promise<ProxyFixture> {
  const events: EgressEvent[] = [];
  const waiting = new Set<() => void>();
  const proxy = createEgressProxy({
    ...options,
    onDecision(event) {
      events.push(event);
      for (const look of waiting) look();
    },
  });
  const server = await listenTcp((socket) => proxy.handle(socket));
  return {
    proxy,
    port: server.port,
    events,
    event: (test) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`no such event among ${JSON.stringify(events)}`)),
          60_000,
        );
        const look = () => {
          const found = events.find(test);
          if (found === undefined) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    async close() {
      proxy.close();
      await server.close();
    },
  };
}

export const isLast = (event: EgressEvent) => event.reason !== 'open';

/** Everything a peer sends, as Latin-1 text, until it closes or `timeoutMs` pass. */
export async function readAll(stream: Duplex, timeoutMs = 60_000): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => {});
  const timer = setTimeout(() => stream.destroy(), timeoutMs);
  await new Promise((resolve) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
  });
  clearTimeout(timer);
  return Buffer.concat(chunks).toString('latin1');
}

/** Sends text to a port and returns everything that comes back until the peer closes. */
export async function exchange(port: number, text: string, timeoutMs?: number): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write(text, 'latin1');
  const answer = await readAll(socket, timeoutMs);
  socket.destroy();
  return answer;
}

/** Opens a tunnel; resolves with the stream after the response's head, and the head. */
export async function openTunnel(port: number, authority: string): Promise<{ socket: Socket; head: string }> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  let head = '';
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) return { socket, head };
      await Promise.race([once(socket, 'readable'), once(socket, 'close'), once(socket, 'end')]);
      continue;
    }
    head += chunk.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) continue;
    const rest = Buffer.from(head.slice(end + 4), 'latin1');
    if (rest.byteLength > 0) socket.unshift(rest);
    return { socket, head: head.slice(0, end + 2) };
  }
}
