/** Connections between host and guest over the channel: no network device takes part. */
import { Duplex } from 'node:stream';
import { HearthError } from '../errors/index.js';
import {
  CLOSED,
  CONNECT,
  CONNECTED,
  DATA_TYPES,
  decodeMessage,
  ERROR,
  type Frame,
  INITIAL_WINDOW_BYTES,
  LISTEN,
  LISTENING,
  WINDOW,
} from '../protocol/index.js';
import type { AgentStream, StreamHandler } from './agent-stream.js';
import {
  type AgentConnection,
  type CallOptions,
  DEFAULT_CALL_TIMEOUT_MS,
  WINDOW_BYTES,
} from './connection.js';
import { agentTimeout, disconnected, guestError, protocolError } from './errors.js';
import { Inbound, Outbound } from './pipe-ends.js';

/** Where in the guest: a TCP port on a literal address (default 127.0.0.1), or a unix socket. */
export type GuestAddress = { readonly port: number; readonly host?: string } | { readonly unixPath: string };

export interface GuestListener {
  /** The port in the guest. */
  readonly port: number;
  /** Resolves, never rejects, with the reason when the listener has ended. */
  readonly closed: Promise<HearthError>;
  /** Idempotent; connections that were accepted go on. */
  close(): void;
}

/** A connection's two byte channels as one Duplex with half-close. */
class Pipe implements StreamHandler {
  readonly duplex: Duplex;
  readonly #input: Outbound;
  readonly #output: Inbound;
  #stream: AgentStream | undefined;
  #over = false;
  #onFirst: ((error: unknown) => void) | undefined;

  /** `onFirst` is called once: without an error when the guest has connected, with one when it could not. */
  constructor(onFirst?: (error: unknown) => void) {
    this.#onFirst = onFirst;
    this.#output = new Inbound(WINDOW_BYTES, (bytes) => {
      if (!this.#over) this.#stream?.grant(0, bytes);
    });
    this.#input = new Outbound(INITIAL_WINDOW_BYTES, (data) => {
      if (!this.#over) this.#stream?.sendData(0, data);
    });
    this.duplex = Duplex.from({ readable: this.#output.readable, writable: this.#input.writable });
    this.duplex.on('error', () => {});
    this.duplex.on('close', () => this.#release());
  }

  begin(stream: AgentStream): void {
    this.#stream = stream;
  }

  /** The caller is done with it: the guest is told unless it is over there, too. */
  #release(): void {
    if (this.#over) return;
    /* Both ways ended in order: the guest may still be passing on the rest and says CLOSED by itself. */
    if (this.duplex.readableEnded && this.duplex.writableFinished) return;
    this.#over = true;
    this.#stream?.reset();
  }

  message(frame: Frame, terminal: boolean): void {
    if (terminal) this.#finish(frame);
    else if (frame.type === CONNECTED.type && this.#onFirst !== undefined) this.#settleFirst(undefined);
    else if (this.#onFirst !== undefined) throw protocolError('data before the connection');
    else if (frame.type === DATA_TYPES[0]) this.#output.data(frame.payload);
    else if (frame.type === WINDOW.type) this.#input.grant(decodeMessage(WINDOW, frame.payload).bytes);
    else throw protocolError('unexpected message on a connection', { type: frame.type });
  }

  #settleFirst(error: unknown): void {
    const onFirst = this.#onFirst;
    this.#onFirst = undefined;
    onFirst?.(error);
  }

  #finish(frame: Frame): void {
    this.#over = true;
    if (frame.type === ERROR.type) {
      this.failed(guestError('connect', decodeMessage(ERROR, frame.payload)));
    } else if (frame.type === CLOSED.type) {
      this.#output.end();
      this.#input.close();
      this.#settleFirst(disconnected());
    } else {
      throw protocolError('unexpected end of a connection', { type: frame.type });
    }
  }

  failed(error: HearthError): void {
    this.#over = true;
    this.#output.fail(error);
    this.#input.fail(error);
    this.#settleFirst(error);
  }

  abandon(error: unknown): void {
    this.#stream?.reset();
    this.#over = true;
    this.duplex.destroy();
    this.#settleFirst(error);
  }
}

function connectRequest(address: GuestAddress): {
  family: number;
  address: string;
  port: number;
  windowBytes: number;
} {
  const windowBytes = WINDOW_BYTES;
  return 'unixPath' in address
    ? { family: 1, address: address.unixPath, port: 0, windowBytes }
    : { family: 0, address: address.host ?? '127.0.0.1', port: address.port, windowBytes };
}

/**
 * Dials in the guest.
 *
 * @returns A Duplex with half-close; destroying it closes the connection.
 * @throws {HearthError} `GUEST_CONNECT_REFUSED`, `AGENT_TIMEOUT`, the channel's failure.
 */
export function connectGuest(
  connection: AgentConnection,
  address: GuestAddress,
  options: CallOptions = {},
): Promise<Duplex> {
  const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const pipe = new Pipe((error) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (error === undefined) resolve(pipe.duplex);
      else reject(error);
    });
    const timer = setTimeout(() => pipe.abandon(agentTimeout('connect', timeoutMs)), timeoutMs);
    const onAbort = (): void => pipe.abandon(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      pipe.begin(connection.open(CONNECT, connectRequest(address), pipe));
    } catch (error) {
      pipe.abandon(error);
    }
  });
}

/**
 * Listens in the guest and hands over each connection as a Duplex with half-close.
 *
 * @param onConnection Called for each; `peer` is the guest's word, `127.0.0.1 40332`.
 * @throws {HearthError} `AGENT_REQUEST_FAILED` when the port is taken, `AGENT_TIMEOUT`.
 */
export function listenInGuest(
  connection: AgentConnection,
  address: { readonly port: number; readonly host?: string },
  onConnection: (duplex: Duplex, peer: string) => void,
  options: CallOptions = {},
): Promise<GuestListener> {
  const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    let listening = false;
    let end: (reason: HearthError) => void = () => {};
    const closed = new Promise<HearthError>((settle) => {
      end = settle;
    });
    const stop = (reason: unknown): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (stream !== undefined) connection.setAcceptor(stream.id, undefined);
      if (HearthError.is(reason)) end(reason);
      reject(reason);
    };
    const giveUp = (reason: unknown): void => {
      stream?.reset();
      stop(reason);
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const timer = setTimeout(() => giveUp(agentTimeout('listen', timeoutMs)), timeoutMs);
    const stream = connection.open(
      LISTEN,
      { address: address.host ?? '127.0.0.1', port: address.port, backlog: 64 },
      {
        message: (frame, terminal) => {
          if (frame.type === LISTENING.type && !listening) {
            listening = true;
            clearTimeout(timer);
            signal?.removeEventListener('abort', onAbort);
            const { port } = decodeMessage(LISTENING, frame.payload);
            resolve({ port, closed, close: () => giveUp(disconnected()) });
          } else if (terminal && frame.type === ERROR.type) {
            stop(guestError('listen', decodeMessage(ERROR, frame.payload)));
          } else if (terminal && frame.type === CLOSED.type) {
            stop(disconnected());
          } else {
            throw protocolError('unexpected message of a listener', { type: frame.type });
          }
        },
        failed: stop,
      },
    );
    connection.setAcceptor(stream.id, (accepted, peer) => {
      const pipe = new Pipe();
      pipe.begin(accepted);
      accepted.grant(0, WINDOW_BYTES);
      queueMicrotask(() => onConnection(pipe.duplex, peer));
      return pipe;
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
