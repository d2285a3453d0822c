/**
 * The frame: the unit that host and guest agent exchange on one byte stream.
 *
 * Source: `protocol/PROTOCOL.md`, "Frames"; the same vectors
 * (`protocol/vectors/frame.tsv`) are replayed against `guest/agent/frame.c`.
 */
import { HearthError } from '../errors/index.js';

export const FRAME_HEADER_BYTES = 9;
/** Largest payload of a control message, in bytes (1 MiB). */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** Largest payload of a data message, in bytes (64 KiB). */
export const MAX_DATA_BYTES = 64 * 1024;
/** Data messages carry raw bytes of channel 0, 1 or 2 of their stream; an empty one ends the channel. */
export const DATA_TYPES = [0x10, 0x11, 0x12] as const;

export interface Frame {
  /** Stream the frame belongs to; 0 is the control stream. Range 0..2^32-1. */
  readonly streamId: number;
  /** Message type. Range 0..255. */
  readonly type: number;
  readonly payload: Uint8Array;
}

function payloadLimit(type: number): number {
  return type >= DATA_TYPES[0] && type <= DATA_TYPES[2] ? MAX_DATA_BYTES : MAX_PAYLOAD_BYTES;
}

function checkLength(type: number, lengthBytes: number): void {
  const limitBytes = payloadLimit(type);
  if (lengthBytes <= limitBytes) return;
  throw new HearthError(
    'FRAME_TOO_LARGE',
    `frame of type ${type} with a payload of ${lengthBytes} bytes, at most ${limitBytes} are allowed`,
    { hint: 'Send less in one request.', details: { type, lengthBytes, limitBytes } },
  );
}

/**
 * Encodes one frame.
 *
 *     offset  size  field
 *          0     4  payload length in bytes, big-endian, header not counted
 *          4     4  stream id, big-endian
 *          8     1  message type
 *          9     n  payload
 *
 * @returns The header and the payload, not copied: write one after the other.
 * @throws {HearthError} `FRAME_TOO_LARGE` when the payload exceeds what its type allows.
 */
export function encodeFrame({ streamId, type, payload }: Frame): [header: Uint8Array, payload: Uint8Array] {
  checkLength(type, payload.byteLength);
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, payload.byteLength);
  view.setUint32(4, streamId);
  header[8] = type;
  return [header, payload];
}

/**
 * Cuts frames out of chunks as they arrive. Holds at most one payload
 * (1 MiB), allocated when its header has been seen.
 *
 * A payload that lies whole in a chunk and makes up most of it is a view into
 * that chunk; any other is a copy, so that a small payload never keeps a large
 * chunk alive.
 */
export class FrameDecoder {
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #payload: Uint8Array | undefined;
  #payloadBytes = 0;

  /** True between two frames. */
  get idle(): boolean {
    return this.#headerBytes === 0;
  }

  /**
   * @returns The frames that are complete now, in order.
   * @throws {HearthError} `FRAME_TOO_LARGE`; the decoder is of no use after that.
   */
  *push(chunk: Uint8Array): Generator<Frame, void, undefined> {
    let offset = 0;
    while (offset < chunk.byteLength) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        offset += this.#takeHeader(chunk, offset);
        if (this.#headerBytes < FRAME_HEADER_BYTES) return;
      }
      const { lengthBytes, streamId, type } = this.#parseHeader();
      const available = Math.min(chunk.byteLength - offset, lengthBytes - this.#payloadBytes);
      if (this.#payload === undefined && available === lengthBytes) {
        const view = chunk.subarray(offset, offset + lengthBytes);
        offset += lengthBytes;
        this.#headerBytes = 0;
        yield { streamId, type, payload: lengthBytes * 2 >= chunk.byteLength ? view : new Uint8Array(view) };
        continue;
      }
      this.#payload ??= new Uint8Array(lengthBytes);
      this.#payload.set(chunk.subarray(offset, offset + available), this.#payloadBytes);
      this.#payloadBytes += available;
      offset += available;
      if (this.#payloadBytes < lengthBytes) return;
      const payload = this.#payload;
      this.#payload = undefined;
      this.#payloadBytes = 0;
      this.#headerBytes = 0;
      yield { streamId, type, payload };
    }
  }

  #takeHeader(chunk: Uint8Array, offset: number): number {
    const taken = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, chunk.byteLength - offset);
    this.#header.set(chunk.subarray(offset, offset + taken), this.#headerBytes);
    this.#headerBytes += taken;
    return taken;
  }

  #parseHeader(): { lengthBytes: number; streamId: number; type: number } {
    const view = new DataView(this.#header.buffer);
    const lengthBytes = view.getUint32(0);
    const type = view.getUint8(8);
    checkLength(type, lengthBytes);
    return { lengthBytes, streamId: view.getUint32(4), type };
  }
}
