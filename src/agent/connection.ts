/**
 * The multiplexer: many streams over the one channel to a guest agent.
 *
 * The guest is hostile. Whatever does not fit (a frame for a stream that is not
 * open, data that was not granted, a second answer) closes the channel with one
 * coded error and fails what is pending; nothing else notices.
 *
 * Memory is bounded per connection: {@link MAX_STREAMS} streams with two windows
 * of {@link WINDOW_BYTES} each (32 MiB), one partial frame (1 MiB), and 4 MiB of
 * output that the guest does not take, after which requests are refused.
 */
import type { Duplex } from 'node:stream';
import { HearthError } from '../errors/index.js';
import {
  ACCEPTED,
  CLOSED,
  decodeMessage,
  decodeReply,
  ERROR,
  EXIT,
  encodeFrame,
  encodeMessage,
  type Field,
  type Frame,
  type FrameDecoder,
  type Message,
  OK,
  RESET,
  STREAM_FROM_GUEST,
} from '../protocol/index.js';
import { AgentStream, type StreamHandler } from './agent-stream.js';
import { agentTimeout, cleanText, disconnected, guestError, protocolError } from './errors.js';

export const WINDOW_BYTES = 128 * 1024;
export const MAX_STREAMS = 128;
const MAX_QUEUED_BYTES = 4 * 1024 * 1024;
/** How long the guest may take to end a stream that the host has given up. */
const RESET_TIMEOUT_MS = 10_000;
const LAST_HOST_STREAM = STREAM_FROM_GUEST - 1;
const TERMINAL_TYPES: ReadonlySet<number> = new Set([OK.type, ERROR.type, EXIT.type, CLOSED.type]);

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export const DEFAULT_CALL_TIMEOUT_MS = 30_000;

export class AgentConnection {
  /** Resolves, never rejects, with the reason when the channel has closed. */
  readonly closed: Promise<HearthError>;
  readonly #channel: Duplex;
  readonly #decoder: FrameDecoder;
  readonly #streams = new Map<number, StreamHandler>();
  readonly #resetTimers = new Map<number, NodeJS.Timeout>();
  readonly #acceptors = new Map<number, (stream: AgentStream, peer: string) => StreamHandler>();
  readonly #stallTimeoutMs: number;
  #nextStreamId = 1;
  #failure: HearthError | undefined;
  #corked = false;
  #stallTimer: NodeJS.Timeout | undefined;
  #resolveClosed: (error: HearthError) => void = () => {};

  /** Takes over a channel on which the handshake is done; `decoder` may hold the start of a frame. */
  constructor(channel: Duplex, decoder: FrameDecoder, stallTimeoutMs: number) {
    this.#channel = channel;
    this.#decoder = decoder;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    channel.on('data', this.#onData);
    channel.on('drain', () => this.#progress());
    channel.on('error', (error) => this.fail(disconnected(error)));
    channel.on('close', () => this.fail(disconnected()));
    channel.on('end', () => this.fail(disconnected()));
  }

  readonly #onData = (chunk: Buffer): void => this.receive(chunk);

  receive(chunk: Uint8Array): void {
    try {
      for (const frame of this.#decoder.push(chunk)) {
        if (this.#failure !== undefined) return;
        this.#dispatch(frame);
      }
    } catch (error) {
      this.fail(
        HearthError.is(error) ? error : protocolError('unexpected message', { reason: String(error) }),
      );
    }
  }

  #dispatch(frame: Frame): void {
    const handler = this.#streams.get(frame.streamId);
    if (handler !== undefined) {
      const terminal = TERMINAL_TYPES.has(frame.type);
      if (terminal) this.#forget(frame.streamId);
      try {
        handler.message(frame, terminal);
      } catch (error) {
        handler.failed(asHearthError(error));
        throw error;
      }
    } else if (frame.type === ACCEPTED.type && frame.streamId >= STREAM_FROM_GUEST) {
      this.#accept(frame);
    } else {
      throw protocolError('frame for a stream that is not open', {
        streamId: frame.streamId,
        type: frame.type,
      });
    }
  }

  #accept(frame: Frame): void {
    const { listenStreamId, peer } = decodeMessage(ACCEPTED, frame.payload);
    const acceptor = this.#acceptors.get(listenStreamId);
    const closing = this.#resetTimers.has(listenStreamId);
    if (acceptor === undefined && !closing) {
      throw protocolError('connection without a listener', { listenStreamId });
    }
    if (this.#streams.size > 2 * MAX_STREAMS) throw protocolError('more connections than allowed');
    if (acceptor === undefined || this.#streams.size >= MAX_STREAMS) {
      this.#streams.set(frame.streamId, ignoring);
      this.reset(frame.streamId);
      return;
    }
    const stream = new AgentStream(this, frame.streamId);
    this.#streams.set(frame.streamId, acceptor(stream, cleanText(peer)));
  }

  /** Says who takes connections that the guest accepts on this listening stream. */
  setAcceptor(
    listenStreamId: number,
    acceptor: ((stream: AgentStream, peer: string) => StreamHandler) | undefined,
  ): void {
    if (acceptor === undefined) this.#acceptors.delete(listenStreamId);
    else this.#acceptors.set(listenStreamId, acceptor);
  }

  #forget(streamId: number): void {
    this.#streams.delete(streamId);
    clearTimeout(this.#resetTimers.get(streamId));
    this.#resetTimers.delete(streamId);
  }

  /**
   * Opens a stream with its first message.
   *
   * @throws {HearthError} the channel's own failure, or `AGENT_BUSY` when too many
   *   streams are open or the guest does not take what it has been sent.
   */
  open<T>(type: Message<T>, value: T, handler: StreamHandler): AgentStream {
    return this.openRaw(type.type, encodeMessage(type, value), handler);
  }

  openRaw(type: number, payload: Uint8Array, handler: StreamHandler): AgentStream {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#streams.size >= MAX_STREAMS || this.#channel.writableLength > MAX_QUEUED_BYTES) {
      throw new HearthError(
        'AGENT_BUSY',
        `${this.#streams.size} requests to the guest agent are open already`,
        {
          hint: 'Wait until some of the running commands have ended.',
          details: { openStreams: this.#streams.size, queuedBytes: this.#channel.writableLength },
        },
      );
    }
    const id = this.#nextStreamId;
    if (id > LAST_HOST_STREAM) throw protocolError('stream ids are used up');
    this.write(id, type, payload);
    this.#nextStreamId += 1;
    this.#streams.set(id, handler);
    return new AgentStream(this, id);
  }

  write(streamId: number, type: number, payload: Uint8Array): void {
    const [header, body] = encodeFrame({ streamId, type, payload });
    if (this.#failure !== undefined) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#channel.cork();
      queueMicrotask(() => this.#uncork());
    }
    this.#channel.write(header);
    if (body.byteLength > 0) this.#channel.write(body);
  }

  /** What was written in one turn leaves in one piece. */
  #uncork(): void {
    this.#corked = false;
    this.#channel.uncork();
    if (this.#channel.writableNeedDrain && this.#stallTimer === undefined && this.#failure === undefined) {
      this.#stallTimer = setTimeout(
        () => this.fail(agentTimeout('write to the channel', this.#stallTimeoutMs)),
        this.#stallTimeoutMs,
      );
      this.#stallTimer.unref();
    }
  }

  #progress(): void {
    clearTimeout(this.#stallTimer);
    this.#stallTimer = undefined;
  }

  reset(streamId: number): void {
    if (!this.#streams.has(streamId) || this.#resetTimers.has(streamId)) return;
    this.#streams.set(streamId, ignoring);
    this.write(streamId, RESET.type, new Uint8Array());
    const timer = setTimeout(
      () => this.fail(agentTimeout('end of a stream', RESET_TIMEOUT_MS)),
      RESET_TIMEOUT_MS,
    );
    timer.unref();
    this.#resetTimers.set(streamId, timer);
  }

  /**
   * Sends a request that is answered by one OK.
   *
   * @throws {HearthError} what the guest answered, `AGENT_TIMEOUT`, or the channel's
   *   failure; `signal.reason` when cancelled.
   */
  request<T, R>(type: Message<T>, value: T, reply: Field<R>, options: CallOptions = {}): Promise<R> {
    return this.requestRaw(type.name, type.type, encodeMessage(type, value), options).then((payload) => {
      try {
        return decodeReply(type.name, reply, payload);
      } catch (error) {
        if (HearthError.is(error)) this.fail(error);
        throw error;
      }
    });
  }

  requestRaw(
    name: string,
    type: number,
    payload: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    const { timeoutMs = DEFAULT_CALL_TIMEOUT_MS, signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      let stream: AgentStream | undefined;
      const timer = setTimeout(() => giveUp(agentTimeout(name, timeoutMs)), timeoutMs);
      const onAbort = (): void => giveUp(signal?.reason);
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const giveUp = (reason: unknown): void => {
        settle();
        stream?.reset();
        reject(reason);
      };
      try {
        stream = this.openRaw(type, payload, {
          message: (frame) => {
            settle();
            if (frame.type === OK.type) resolve(frame.payload);
            else if (frame.type === ERROR.type) reject(guestError(name, decodeMessage(ERROR, frame.payload)));
            else {
              const error = protocolError(`answer of type ${frame.type} to ${name}`);
              reject(error);
              throw error;
            }
          },
          failed: (error) => {
            settle();
            reject(error);
          },
        });
      } catch (error) {
        settle();
        throw error;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The guest may send this message on the control stream so many times more. */
  expectRepeats(type: number, repeats: number): void {
    let left = repeats;
    this.#streams.set(0, {
      message: (frame) => {
        left -= 1;
        if (left < 0 || frame.type !== type) {
          throw protocolError('unexpected message on the control stream', { type: frame.type });
        }
      },
      failed: () => {},
    });
  }

  /** Ends the session from this side. Idempotent. */
  close(): void {
    this.fail(disconnected());
  }

  /**
   * Ends the session and leaves the channel open for the next one; what is pending fails.
   *
   * @throws {HearthError} the channel's own failure.
   */
  release(): Duplex {
    if (this.#failure !== undefined) throw this.#failure;
    this.#channel.off('data', this.#onData);
    this.#channel.pause();
    this.#end(disconnected());
    return this.#channel;
  }

  /** Closes the channel for this reason and fails everything that is pending. Idempotent. */
  fail(error: HearthError): void {
    if (this.#failure !== undefined) return;
    this.#channel.destroy();
    this.#end(error);
  }

  #end(error: HearthError): void {
    this.#failure = error;
    this.#progress();
    for (const timer of this.#resetTimers.values()) clearTimeout(timer);
    this.#resetTimers.clear();
    const handlers = [...this.#streams.values()];
    this.#streams.clear();
    this.#acceptors.clear();
    for (const handler of handlers) handler.failed(error);
    this.#resolveClosed(error);
  }
}

function asHearthError(error: unknown): HearthError {
  return HearthError.is(error) ? error : protocolError('unexpected message', { reason: String(error) });
}

const ignoring: StreamHandler = { message: () => {}, failed: () => {} };
