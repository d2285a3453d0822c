/**
 * The start of a session: HELLO with a fresh nonce, READY with the same one.
 *
 * The channel may still hold output of a session before (its host died, the VM
 * was resumed): everything up to our own READY is skipped, at most 8 MiB.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { HearthError } from '../errors/index.js';
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  FRAME_HEADER_BYTES,
  FrameDecoder,
  HELLO,
  HELLO_MAGIC,
  NONCE_BYTES,
  PROTOCOL_GENERATION,
  READY,
  type Ready,
} from '../protocol/index.js';
import { agentTimeout, disconnected, protocolError } from './errors.js';

const MAX_SKIPPED_BYTES = 8 * 1024 * 1024;
const MAX_READY_BYTES = 16 * 1024;
/** A HELLO that met the rest of a broken-off frame is lost: it is sent again. */
const REPEAT_MS = 1000;

export interface HandshakeOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Wall clock to set in the guest, in nanoseconds since 1970; 0 leaves it alone. */
  readonly clockNs: bigint;
}

export interface HandshakeResult {
  readonly ready: Ready;
  /** What arrived after READY. */
  readonly rest: Uint8Array;
  /** READYs that may still come: the guest answers each HELLO. */
  readonly repeats: number;
  readonly nonce: Uint8Array;
}

/** Looks for our READY in what has arrived. */
class ReadyScanner {
  readonly #needle: Buffer;
  #held: Buffer = Buffer.alloc(0);
  #skippedBytes = 0;

  constructor(nonce: Uint8Array) {
    this.#needle = Buffer.concat([HELLO_MAGIC, nonce]);
  }

  push(chunk: Buffer): { ready: Ready; rest: Uint8Array } | undefined {
    this.#held = Buffer.concat([this.#held, chunk]);
    const at = this.#held.indexOf(this.#needle);
    if (at < FRAME_HEADER_BYTES) {
      if (at !== -1) throw protocolError('READY without a frame');
      const keepBytes = Math.min(this.#held.byteLength, this.#needle.byteLength - 1 + FRAME_HEADER_BYTES);
      this.#skip(this.#held.byteLength - keepBytes);
      return undefined;
    }
    this.#skip(at - FRAME_HEADER_BYTES);
    const lengthBytes = this.#held.readUInt32BE(0);
    if (lengthBytes > MAX_READY_BYTES) throw protocolError('READY is too long', { lengthBytes });
    const endOffset = FRAME_HEADER_BYTES + lengthBytes;
    if (this.#held.byteLength < endOffset) return undefined;
    const [frame] = [...new FrameDecoder().push(this.#held.subarray(0, endOffset))];
    if (frame?.type !== READY.type || frame.streamId !== 0) throw protocolError('READY expected');
    return { ready: decodeReady(frame.payload), rest: this.#held.subarray(endOffset) };
  }

  #skip(lengthBytes: number): void {
    this.#skippedBytes += lengthBytes;
    if (this.#skippedBytes > MAX_SKIPPED_BYTES) {
      throw protocolError('no READY in the first bytes', { skippedBytes: this.#skippedBytes });
    }
    this.#held = Buffer.from(this.#held.subarray(lengthBytes));
  }
}

/** The generation comes first, so that it is understood whatever follows it. */
function decodeReady(payload: Uint8Array): Ready {
  const offset = HELLO_MAGIC.byteLength + NONCE_BYTES;
  const generation = Buffer.from(payload).readUInt32BE(offset);
  if (generation !== PROTOCOL_GENERATION) {
    throw new HearthError(
      'AGENT_GENERATION_UNSUPPORTED',
      `the guest agent speaks protocol generation ${generation}, this hearth speaks ${PROTOCOL_GENERATION}`,
      {
        hint: 'Create the sandbox again with this version of hearth.',
        details: { expected: PROTOCOL_GENERATION, actual: generation },
      },
    );
  }
  return decodeMessage(READY, payload);
}

/**
 * Greets the agent, which may still be booting.
 *
 * @throws {HearthError} `AGENT_TIMEOUT`, `AGENT_DISCONNECTED`, `AGENT_PROTOCOL_INVALID`,
 *   `AGENT_GENERATION_UNSUPPORTED`; `signal.reason` when cancelled. The channel is
 *   destroyed then.
 */
export function shakeHands(channel: Duplex, options: HandshakeOptions): Promise<HandshakeResult> {
  const { timeoutMs, signal, clockNs } = options;
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES));
  const scanner = new ReadyScanner(nonce);
  let hellos = 0;
  return new Promise((resolve, reject) => {
    const greet = (): void => {
      hellos += 1;
      const payload = encodeMessage(HELLO, {
        magic: HELLO_MAGIC,
        generation: PROTOCOL_GENERATION,
        nonce,
        clockNs,
      });
      channel.write(Buffer.concat(encodeFrame({ streamId: 0, type: HELLO.type, payload })));
    };
    const timer = setTimeout(() => lose(agentTimeout('greeting', timeoutMs)), timeoutMs);
    const repeat = setInterval(greet, REPEAT_MS);
    const settle = (): void => {
      clearTimeout(timer);
      clearInterval(repeat);
      channel.off('data', onData).off('error', onError).off('close', onClose).off('end', onClose);
      signal?.removeEventListener('abort', onAbort);
    };
    const lose = (reason: unknown): void => {
      settle();
      channel.on('error', () => {});
      channel.destroy();
      reject(reason);
    };
    const onAbort = (): void => lose(signal?.reason);
    const onError = (error: Error): void => lose(disconnected(error));
    const onClose = (): void => lose(disconnected());
    const onData = (chunk: Buffer): void => {
      try {
        const found = scanner.push(chunk);
        if (found === undefined) return;
        channel.pause();
        settle();
        resolve({ ...found, repeats: hellos - 1, nonce });
      } catch (error) {
        lose(error);
      }
    };
    if (signal?.aborted) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    channel.on('data', onData).on('error', onError).on('close', onClose).on('end', onClose);
    greet();
  });
}
