/**
 * A published port: a TCP listener of the host whose connections are carried into the guest, one stream
 * each, without a network device.
 */
import { setMaxListeners } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { errnoOf, HearthError } from '../errors/index.js';
import { formatAuthority } from './host.js';
import type { PortSpec } from './port-spec.js';
import { destroyStream, splice } from './splice.js';

/**
 * Opens a stream to the port inside the guest.
 *
 * @param options.signal Aborted when the client has gone or the time is up; a stream that comes later
 *   is destroyed.
 */
export type DialGuest = (options: { readonly signal: AbortSignal }) => Promise<Duplex>;

export interface PublishedPortLimits {
  /** Connections at once; a further one is reset. */
  readonly maxConnections: number;
  readonly dialTimeoutMs: number;
  /** Longest silence in both directions of a connection. */
  readonly idleTimeoutMs: number;
}

/** One per connection, when it is over. */
export interface PublishedPortEvent {
  /** When the event was made, ISO 8601 in UTC. */
  readonly at: string;
  /** `ADDRESS:PORT` of the client. */
  readonly client: string;
  readonly guestPort: number;
  /** `failed`: the guest did not take the connection. `refused`: too many at once. */
  readonly outcome: 'completed' | 'broken' | 'idle-timeout' | 'closed' | 'failed' | 'refused';
  readonly bytesToGuest: number;
  readonly bytesFromGuest: number;
  readonly durationMs: number;
}

export interface PublishPortOptions {
  /** Closes the port like {@link PublishedPort.close}; aborted before it listens, the call rejects. */
  readonly signal?: AbortSignal;
  /** What it throws is ignored. */
  readonly onEvent?: (event: PublishedPortEvent) => void;
  readonly limits?: Partial<PublishedPortLimits>;
}

export interface PublishedPort {
  readonly address: string;
  /** The port that listens, also where any free one was asked for. */
  readonly port: number;
  readonly guestPort: number;
  /** Stops listening, resets what is connected, and resolves when all is closed. Idempotent. */
  close(): Promise<void>;
}

export const DEFAULT_PUBLISHED_PORT_LIMITS: PublishedPortLimits = {
  maxConnections: 512,
  dialTimeoutMs: 15_000,
  idleTimeoutMs: 7_200_000,
};

const LISTEN_BACKLOG = 511;

/**
 * @throws {HearthError} `PORT_IN_USE`, `PORT_DENIED` (a port below 1024), `PORT_ADDRESS_UNAVAILABLE`
 *   (not an address of this host); `signal.reason` when cancelled.
 */
export async function publishPort(
  spec: PortSpec,
  dial: DialGuest,
  { signal, onEvent, limits: given }: PublishPortOptions = {},
): Promise<PublishedPort> {
  signal?.throwIfAborted();
  const limits = { ...DEFAULT_PUBLISHED_PORT_LIMITS, ...given };
  const closing = new AbortController();
  // Every connection listens to it, and their number is bounded by `maxConnections`.
  setMaxListeners(0, closing.signal);
  const running = new Set<Promise<void>>();

  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  server.on('connection', (socket) => {
    const connection: Promise<void> = carry(socket)
      // Only a listener of events that throws gets here; the port outlives it.
      .catch(() => destroyStream(socket, true))
      .finally(() => running.delete(connection));
    running.add(connection);
  });
  const port = await listen(server, spec);

  async function carry(socket: Socket): Promise<void> {
    const startedAt = performance.now();
    const client = formatAuthority(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    const report = (outcome: PublishedPortEvent['outcome'], bytesToGuest = 0, bytesFromGuest = 0) => {
      const durationMs = Math.round(performance.now() - startedAt);
      const { guestPort } = spec;
      const at = new Date().toISOString();
      onEvent?.({ at, client, guestPort, outcome, bytesToGuest, bytesFromGuest, durationMs });
    };
    socket.on('error', () => {});
    if (running.size >= limits.maxConnections) {
      socket.resetAndDestroy();
      return report('refused');
    }
    const guest = await dialGuest(dial, socket, closing.signal, limits.dialTimeoutMs);
    if (guest === undefined) {
      socket.resetAndDestroy();
      return report(closing.signal.aborted ? 'closed' : 'failed');
    }
    const { idleTimeoutMs } = limits;
    const result = await splice(socket, guest, { idleTimeoutMs, signal: closing.signal });
    const outcome = result.ending === 'aborted' ? 'closed' : result.ending;
    report(outcome, result.leftToRightBytes, result.rightToLeftBytes);
  }

  const close = async () => {
    signal?.removeEventListener('abort', onAbort);
    closing.abort();
    await Promise.all([...running, new Promise((resolve) => server.close(resolve))]);
  };
  const onAbort = () => void close();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) {
    await close();
    signal.throwIfAborted();
  }
  return { address: spec.address, port, guestPort: spec.guestPort, close };
}

/** @returns undefined when the guest could not be reached in time or nobody wants it any more. */
function dialGuest(
  dial: DialGuest,
  socket: Socket,
  closing: AbortSignal,
  timeoutMs: number,
): Promise<Duplex | undefined> {
  const controller = new AbortController();
  const giveUp = () => controller.abort();
  const timer = setTimeout(giveUp, timeoutMs);
  closing.addEventListener('abort', giveUp, { once: true });
  socket.once('close', giveUp);
  return new Promise<Duplex | undefined>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(undefined), { once: true });
    if (closing.aborted) giveUp();
    Promise.resolve()
      .then(() => dial({ signal: controller.signal }))
      .then(
        (stream) => {
          stream.on('error', () => {});
          if (controller.signal.aborted) destroyStream(stream, true);
          else resolve(stream);
        },
        () => resolve(undefined),
      );
  }).finally(() => {
    clearTimeout(timer);
    closing.removeEventListener('abort', giveUp);
    socket.removeListener('close', giveUp);
  });
}

function listen(server: Server, spec: PortSpec): Promise<number> {
  return new Promise((resolve, reject) => {
    // Stays: a connection that cannot be accepted later, for want of descriptors, is no reason to end.
    server.on('error', (error) => reject(listenError(error, spec)));
    const options = { host: spec.address, port: spec.hostPort, backlog: LISTEN_BACKLOG, exclusive: true };
    server.listen({ ...options, ipv6Only: spec.address.includes(':') }, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : spec.hostPort);
    });
  });
}

function listenError(error: Error, { address, hostPort, guestPort }: PortSpec): unknown {
  const where = formatAuthority(address, hostPort);
  const options = { details: { address, port: hostPort, guestPort, errno: errnoOf(error) }, cause: error };
  switch (errnoOf(error)) {
    case 'EADDRINUSE':
      return new HearthError('PORT_IN_USE', `another program already listens on ${where}`, {
        ...options,
        hint: `Publish another port, like -p ${hostPort === 65_535 ? 8080 : hostPort + 1}:${guestPort}, or -p ${guestPort} for any free one.`,
      });
    case 'EACCES':
    case 'EPERM':
      return new HearthError('PORT_DENIED', `no permission to listen on ${where}`, {
        ...options,
        hint: `Publish a port from 1024 up, like -p ${hostPort < 1024 ? 8000 + hostPort : 8080}:${guestPort}.`,
      });
    case 'EADDRNOTAVAIL':
    case 'EINVAL':
    case 'EAFNOSUPPORT':
      return new HearthError('PORT_ADDRESS_UNAVAILABLE', `${address} is not an address of this host`, {
        ...options,
        hint: 'Use 127.0.0.1, or 0.0.0.0 for every network this machine is on.',
      });
    default:
      return error;
  }
}
