/** A request that moves bytes: data one way or both, and one answer at the end. */
import type { Readable, Writable } from 'node:stream';
import type { HearthError } from '../errors/index.js';
import {
  DATA_TYPES,
  decodeMessage,
  decodeReply,
  ERROR,
  encodeMessage,
  type Field,
  type Frame,
  INITIAL_WINDOW_BYTES,
  type Message,
  OK,
  WINDOW,
} from '../protocol/index.js';
import type { AgentStream, StreamHandler } from './agent-stream.js';
import {
  type AgentConnection,
  type CallOptions,
  DEFAULT_CALL_TIMEOUT_MS,
  WINDOW_BYTES,
} from './connection.js';
import { agentTimeout, guestError, protocolError } from './errors.js';
import { Inbound, Outbound } from './pipe-ends.js';

export interface TransferRequest<T, R> {
  readonly type: Message<T>;
  readonly value: T;
  readonly reply: Field<R>;
  /** Whether the caller writes to `writable`. */
  readonly sends?: boolean;
}

/** Ends with the answer; `timeoutMs` is the longest time that the guest may make no progress. */
export class Transfer<T, R> implements StreamHandler {
  /** Rejects with what the guest answered, `AGENT_TIMEOUT`, the channel's failure or `signal.reason`. */
  readonly done: Promise<R>;
  readonly #request: TransferRequest<T, R>;
  readonly #output: Inbound;
  readonly #input: Outbound;
  readonly #stream: AgentStream;
  readonly #options: CallOptions;
  readonly #timer: NodeJS.Timeout;
  #over = false;
  #dataEnded = false;
  #resolve: (value: R) => void = () => {};
  #reject: (reason: unknown) => void = () => {};

  constructor(connection: AgentConnection, request: TransferRequest<T, R>, options: CallOptions = {}) {
    const { signal, timeoutMs = DEFAULT_CALL_TIMEOUT_MS } = options;
    signal?.throwIfAborted();
    this.#request = request;
    this.#options = options;
    this.#output = new Inbound(WINDOW_BYTES, (bytes) => {
      if (!this.#over) this.#stream.grant(1, bytes);
    });
    this.#input = new Outbound(INITIAL_WINDOW_BYTES, (data) => {
      this.#timer.refresh();
      if (!this.#over) this.#stream.sendData(0, data);
    });
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {});
    const payload = encodeMessage(request.type, request.value);
    this.#stream = connection.openRaw(request.type.type, payload, this);
    this.#stream.grant(1, WINDOW_BYTES);
    this.#timer = setTimeout(() => this.#onIdle(timeoutMs), timeoutMs);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** What the guest sends on channel 1. */
  get readable(): Readable {
    return this.#output.readable;
  }
  /** What the guest gets on channel 0 of a request that `sends`. End it. */
  get writable(): Writable {
    return this.#input.writable;
  }

  readonly #onAbort = (): void => this.abandon(this.#options.signal?.reason);

  #onIdle(timeoutMs: number): void {
    /* A slow reader or writer on this side is not the guest's fault. */
    const isOurTurn = this.#output.hasUnread || (this.#request.sends === true && this.#input.isStarved);
    if (isOurTurn) this.#timer.refresh();
    else this.abandon(agentTimeout(this.#request.type.name, timeoutMs));
  }

  message(frame: Frame, terminal: boolean): void {
    this.#timer.refresh();
    if (terminal) this.#finish(frame);
    else if (frame.type === DATA_TYPES[1]) this.#data(frame.payload);
    else if (frame.type === DATA_TYPES[0] && frame.payload.byteLength === 0)
      return; // The answer says why.
    else if (frame.type === WINDOW.type) this.#input.grant(decodeMessage(WINDOW, frame.payload).bytes);
    else throw protocolError('unexpected message during a transfer', { type: frame.type });
  }

  /** The end of the data is passed on with the answer only: an error may still follow what looked whole. */
  #data(payload: Uint8Array): void {
    if (this.#dataEnded) throw protocolError('data after the end of its channel');
    if (payload.byteLength === 0) this.#dataEnded = true;
    else this.#output.data(payload);
  }

  #finish(frame: Frame): void {
    const { name } = this.#request.type;
    if (frame.type === OK.type) {
      const value = decodeReply(name, this.#request.reply, frame.payload);
      this.#settle();
      this.#output.end();
      this.#input.close();
      this.#resolve(value);
    } else if (frame.type === ERROR.type) {
      this.#fail(guestError(name, decodeMessage(ERROR, frame.payload)));
    } else {
      throw protocolError('unexpected end of a transfer', { type: frame.type });
    }
  }

  #settle(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }

  #fail(reason: unknown): void {
    const error = reason instanceof Error ? reason : new Error('cancelled', { cause: reason });
    this.#settle();
    this.#output.fail(error);
    this.#input.fail(error);
    this.#reject(reason);
  }

  failed(error: HearthError): void {
    this.#fail(error);
  }

  /** Gives the transfer up: the guest stops it and keeps nothing unfinished. */
  abandon(reason: unknown): void {
    if (this.#over) return;
    this.#stream.reset();
    this.#fail(reason);
  }
}
