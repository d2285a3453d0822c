/** The guest's end of a channel, in a test's hand: it says what the test wants, not what an agent would. */
import { Duplex } from 'node:stream';
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  type Frame,
  FrameDecoder,
  HELLO,
  HELLO_MAGIC,
  type Message,
  PROTOCOL_GENERATION,
  READY,
  type Ready,
} from '../../src/protocol/index.js';

/** One end of a pair: what is written waits until the other end reads it. */
class PairEnd extends Duplex {
  peer: PairEnd | undefined;
  #release: (() => void) | undefined;

  override _read(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const { peer } = this;
    if (peer === undefined || peer.destroyed || peer.push(chunk)) callback();
    else peer.#release = callback;
  }

  override _final(callback: () => void): void {
    this.peer?.push(null);
    callback();
  }

  override _destroy(_error: Error | null, callback: (error: null) => void): void {
    const { peer } = this;
    if (peer !== undefined && !peer.destroyed) setImmediate(() => peer.destroy());
    callback(null);
  }
}

/** Two connected ends of a channel. */
export function duplexPair(): [Duplex, Duplex] {
  const [left, right] = [new PairEnd(), new PairEnd()];
  left.peer = right;
  right.peer = left;
  return [left, right];
}

export class FakeGuest {
  readonly channel: Duplex;
  /** What the host has sent and the test has not taken. */
  readonly frames: Frame[] = [];
  readonly #decoder = new FrameDecoder();
  #waiting: (() => void) | undefined;

  constructor(channel: Duplex) {
    this.channel = channel;
    channel.on('error', () => {});
    channel.on('data', (chunk: Buffer) => {
      this.frames.push(...this.#decoder.push(chunk));
      this.#waiting?.();
    });
  }

  /** The host's next frame. */
  async next(): Promise<Frame> {
    for (;;) {
      const frame = this.frames.shift();
      if (frame !== undefined) return frame;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  raw(bytes: Uint8Array | string): void {
    this.channel.write(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes);
  }

  frame(streamId: number, type: number, payload: Uint8Array = new Uint8Array()): void {
    this.raw(Buffer.concat(encodeFrame({ streamId, type, payload })));
  }

  send<T>(streamId: number, type: Message<T>, value: T): void {
    this.frame(streamId, type.type, encodeMessage(type, value));
  }

  /** Takes HELLO and answers it. */
  async greet(changes: Partial<Ready> = {}): Promise<void> {
    const { nonce } = decodeMessage(HELLO, (await this.next()).payload);
    this.raw(readyFrame(nonce, changes));
  }
}

export function readyFrame(nonce: Uint8Array, changes: Partial<Ready> = {}): Uint8Array {
  const payload = encodeMessage(READY, {
    magic: HELLO_MAGIC,
    nonce,
    generation: PROTOCOL_GENERATION,
    capabilities: 0,
    uptimeUs: 1,
    agentVersion: '0.1.0',
    kernel: '6.1.0',
    bootId: 'boot',
    bootError: '',
    ...changes,
  });
  return Buffer.concat(encodeFrame({ streamId: 0, type: READY.type, payload }));
}
