/** One stream of a connection: what its owner can send, and what its owner is told. */

import type { HearthError } from '../errors/index.js';
import { DATA_TYPES, encodeMessage, type Frame, type Message, WINDOW } from '../protocol/index.js';

export interface StreamHandler {
  /** A frame of this stream; `terminal` when it is the last one. What it throws closes the channel. */
  message(frame: Frame, terminal: boolean): void;
  /** The channel closes; no message follows. Called once or twice, for what `message` threw and for the rest. */
  failed(error: HearthError): void;
}

/** What a stream needs of its connection. */
interface FrameSink {
  write(streamId: number, type: number, payload: Uint8Array): void;
  reset(streamId: number): void;
}

/** One open stream of a connection. */
export class AgentStream {
  readonly id: number;
  readonly #connection: FrameSink;

  constructor(connection: FrameSink, id: number) {
    this.#connection = connection;
    this.id = id;
  }

  send<T>(type: Message<T>, value: T): void {
    this.#connection.write(this.id, type.type, encodeMessage(type, value));
  }

  /** Sends data on a channel; empty data ends it. The caller keeps within its credit. */
  sendData(channel: 0 | 1 | 2, data: Uint8Array): void {
    this.#connection.write(this.id, DATA_TYPES[channel], data);
  }

  grant(channel: 0 | 1 | 2, bytes: number): void {
    this.send(WINDOW, { channel, bytes });
  }

  /** Gives the stream up: the guest ends what runs on it, its further frames are ignored. Idempotent. */
  reset(): void {
    this.#connection.reset(this.id);
  }
}
