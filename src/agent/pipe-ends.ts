/**
 * The host's ends of a stream's byte channels as Node streams, with credit:
 * nothing piles up beyond the window that was granted.
 */
import { Readable, Writable } from 'node:stream';
import { MAX_DATA_BYTES, MAX_WINDOW_BYTES } from '../protocol/index.js';
import { protocolError } from './errors.js';

/** So many small pieces are joined into one: a piece costs more than its bytes. */
const MAX_PIECES = 256;
/** Node's own buffer takes one piece at a time, so that joining happens here. */
const READABLE_BUFFER_BYTES = 1;

/** Bytes from the guest. Holds at most the window and one piece, however small the pieces are. */
export class Inbound {
  readonly readable: Readable;
  readonly #windowBytes: number;
  readonly #grant: (bytes: number) => void;
  #pieces: Uint8Array[] = [];
  /** What the guest may still send. */
  #creditBytes: number;
  /** What was read and has not been granted again. */
  #consumedBytes = 0;
  #wanted = false;
  #ended = false;

  constructor(windowBytes: number, grant: (bytes: number) => void) {
    this.#windowBytes = windowBytes;
    this.#creditBytes = windowBytes;
    this.#grant = grant;
    this.readable = new Readable({
      highWaterMark: READABLE_BUFFER_BYTES,
      read: () => {
        this.#wanted = true;
        this.#deliver();
      },
      destroy: (error, callback) => {
        for (const piece of this.#pieces) this.#consume(piece.byteLength);
        this.#pieces = [];
        callback(error);
      },
    });
    // The failure of a stream that nobody reads is told by the call it belongs to.
    this.readable.on('error', () => {});
  }

  /** True while bytes wait for the reader. */
  get hasUnread(): boolean {
    return this.#pieces.length > 0 || this.readable.readableLength > 0;
  }

  /** Takes a data message; an empty one is the end. Throws when the guest sends more than it may. */
  data(payload: Uint8Array): void {
    if (this.#ended) throw protocolError('data after the end of its channel');
    if (payload.byteLength === 0) {
      this.end();
      return;
    }
    if (payload.byteLength > this.#creditBytes) {
      throw protocolError('more data than was granted', {
        lengthBytes: payload.byteLength,
        grantedBytes: this.#creditBytes,
      });
    }
    this.#creditBytes -= payload.byteLength;
    if (this.readable.destroyed) {
      this.#consume(payload.byteLength);
      return;
    }
    this.#pieces.push(payload);
    if (this.#pieces.length > MAX_PIECES) this.#pieces = [Buffer.concat(this.#pieces)];
    this.#deliver();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#deliver();
  }

  fail(error: Error): void {
    if (!this.#ended) this.readable.destroy(error);
  }

  #deliver(): void {
    if (!this.#wanted || this.readable.destroyed) return;
    while (this.#wanted) {
      const piece = this.#pieces.shift();
      if (piece === undefined) {
        if (this.#ended) {
          this.#wanted = false;
          this.readable.push(null);
        }
        return;
      }
      this.#wanted = this.readable.push(piece);
      this.#consume(piece.byteLength);
    }
  }

  #consume(lengthBytes: number): void {
    this.#consumedBytes += lengthBytes;
    if (this.#ended || this.#consumedBytes * 2 < this.#windowBytes) return;
    this.#creditBytes += this.#consumedBytes;
    this.#grant(this.#consumedBytes);
    this.#consumedBytes = 0;
  }
}

/**
 * What may be sent after a window of so many bytes.
 *
 * @throws {HearthError} `AGENT_PROTOCOL_INVALID` for a window of nothing, and for more than 1 MiB in all: a guest could
 *   send such windows for ever, each of them valid.
 */
export function addCredit(creditBytes: number, bytes: number): number {
  const sum = creditBytes + bytes;
  if (bytes > 0 && sum <= MAX_WINDOW_BYTES) return sum;
  throw protocolError('window out of range', { bytes, grantedBytes: creditBytes });
}

/** Bytes to the guest. Holds what the caller has written until the guest grants it. */
export class Outbound {
  readonly writable: Writable;
  readonly #send: (data: Uint8Array) => void;
  #creditBytes: number;
  #rest: Uint8Array | undefined;
  #done: (() => void) | undefined;
  #peerClosed = false;

  constructor(windowBytes: number, send: (data: Uint8Array) => void) {
    this.#creditBytes = windowBytes;
    this.#send = send;
    this.writable = new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        this.#rest = chunk;
        this.#done = callback;
        this.#pump();
      },
      final: (callback) => {
        if (!this.#peerClosed) this.#send(new Uint8Array());
        callback();
      },
    });
    this.writable.on('error', () => {});
  }

  /** True while the guest would take more than the caller has written. */
  get isStarved(): boolean {
    return this.#rest === undefined && !this.writable.writableEnded && !this.#peerClosed;
  }

  grant(bytes: number): void {
    this.#creditBytes = addCredit(this.#creditBytes, bytes);
    this.#pump();
  }

  /** Nobody in the guest reads any more: what is written from now on goes nowhere, as with a closed pipe. */
  close(): void {
    this.#peerClosed = true;
    this.#pump();
  }

  fail(error: Error): void {
    this.#peerClosed = true;
    this.writable.destroy(error);
  }

  #pump(): void {
    while (this.#rest !== undefined) {
      if (this.#peerClosed || this.#rest.byteLength === 0) {
        this.#rest = undefined;
        break;
      }
      const lengthBytes = Math.min(this.#rest.byteLength, this.#creditBytes, MAX_DATA_BYTES);
      if (lengthBytes === 0) return;
      this.#creditBytes -= lengthBytes;
      this.#send(this.#rest.subarray(0, lengthBytes));
      this.#rest = this.#rest.subarray(lengthBytes);
    }
    const done = this.#done;
    this.#done = undefined;
    /* A source without end must not keep the event loop from learning that the call is over. */
    if (this.#peerClosed && done !== undefined) setImmediate(done);
    else done?.();
  }
}
