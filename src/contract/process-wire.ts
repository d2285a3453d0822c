/**
 * The conversation with a command of the guest over one byte stream: frames of a type (1 byte), a length
 * (4 bytes, big-endian) and a payload.
 *
 * The client sends `input` first. Standard input is sent within the credit that the server grants, so that
 * signals never wait behind it; output is held back by the stream itself.
 */
import { HearthError } from '../errors/index.js';

export const PROCESS_FRAMES = {
  // From the client
  input: 1,
  /** Empty: the end. */
  stdin: 2,
  signal: 3,
  resize: 4,
  /** Empty: the client goes away, and a detached command is to go on. */
  detach: 5,
  // From the server
  stdout: 16,
  stderr: 17,
  started: 18,
  exit: 19,
  error: 20,
  /** 4 bytes: how many more bytes of stdin may be sent. */
  credit: 21,
} as const;

export interface ProcessFrame {
  readonly type: number;
  readonly payload: Buffer;
}

const HEADER_BYTES = 5;
/** Command lines and environments of the size that the kernel takes, as JSON. */
const MAX_PAYLOAD_BYTES = 8 * 1024 * 1024;
/** Data is sent in pieces of at most this. */
export const MAX_DATA_BYTES = 64 * 1024;

export function encodeProcessFrame(type: number, payload: Uint8Array | string): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.byteLength);
  frame.writeUInt8(type, 0);
  frame.writeUInt32BE(body.byteLength, 1);
  frame.set(body, HEADER_BYTES);
  return frame;
}

/** Puts frames together from pieces of any size; holds at most one frame. */
export class ProcessFrameDecoder {
  #held: Buffer[] = [];
  #heldBytes = 0;
  readonly #maxPayloadBytes: number;

  constructor(maxPayloadBytes: number = MAX_PAYLOAD_BYTES) {
    this.#maxPayloadBytes = maxPayloadBytes;
  }

  /** @throws {HearthError} `DAEMON_PROTOCOL_INVALID` at the header of a frame that is too long. */
  push(chunk: Buffer): ProcessFrame[] {
    this.#held.push(chunk);
    this.#heldBytes += chunk.byteLength;
    const frames: ProcessFrame[] = [];
    while (this.#heldBytes >= HEADER_BYTES) {
      if ((this.#held[0]?.byteLength ?? 0) < HEADER_BYTES) this.#held = [Buffer.concat(this.#held)];
      const header = this.#held[0] ?? Buffer.alloc(0);
      const lengthBytes = header.readUInt32BE(1);
      if (lengthBytes > this.#maxPayloadBytes) {
        throw new HearthError('DAEMON_PROTOCOL_INVALID', `a frame of ${lengthBytes} bytes`, {
          details: { lengthBytes, maxBytes: this.#maxPayloadBytes },
        });
      }
      if (this.#heldBytes < HEADER_BYTES + lengthBytes) break;
      const all = this.#held.length === 1 ? header : Buffer.concat(this.#held);
      frames.push({
        type: all.readUInt8(0),
        payload: all.subarray(HEADER_BYTES, HEADER_BYTES + lengthBytes),
      });
      const rest = all.subarray(HEADER_BYTES + lengthBytes);
      this.#held = rest.byteLength === 0 ? [] : [rest];
      this.#heldBytes = rest.byteLength;
    }
    return frames;
  }
}

/** The JSON of a control frame. @throws {HearthError} `DAEMON_PROTOCOL_INVALID`. */
export function jsonOfFrame({ type, payload }: ProcessFrame): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch (error) {
    throw new HearthError('DAEMON_PROTOCOL_INVALID', `a frame of type ${type} that is not JSON`, {
      details: { type },
      cause: error,
    });
  }
}
