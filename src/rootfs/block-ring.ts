/**
 * A pipe of bytes between two threads that never copies on the way and never holds more than its blocks: a
 * ring of shared memory, one thread filling, one emptying, each asleep while it has nothing to do. It carries
 * one layer after the other; an end or a failure closes each of them.
 */
import { HearthError } from '../errors/index.js';
import { decodeFailure, encodeFailure, type ThreadFailure } from './thread-failure.js';

/** Size of a block of bytes. */
const BLOCK_BYTES = 1024 * 1024;

/** What both threads get; hand it over with `postMessage` or as `workerData`. */
export interface BlockRingMemory {
  readonly blockCount: number;
  readonly blocks: SharedArrayBuffer;
  /** Blocks filled and blocks emptied so far, each counted around 2^32. */
  readonly counts: SharedArrayBuffer;
  /** For each block: kind, byte length, position in the source. */
  readonly notes: SharedArrayBuffer;
}

const FILLED = 0;
const EMPTIED = 1;
const NOTE_FIELDS = 3;
const KIND_BYTES = 0;
const KIND_END = 1;
const KIND_FAILURE = 2;

/** @param blockCount How far the filling thread can run ahead, in MiB. */
export function createBlockRing(blockCount: number): BlockRingMemory {
  return {
    blockCount,
    blocks: new SharedArrayBuffer(blockCount * BLOCK_BYTES),
    counts: new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT),
    notes: new SharedArrayBuffer(blockCount * NOTE_FIELDS * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** The filling end. */
export class BlockRingWriter {
  readonly #memory: BlockRingMemory;
  readonly #counts: Int32Array;
  readonly #notes: Float64Array;
  #filled: number;
  #block: Uint8Array | undefined;
  #blockBytes = 0;

  constructor(memory: BlockRingMemory) {
    this.#memory = memory;
    this.#counts = new Int32Array(memory.counts);
    this.#notes = new Float64Array(memory.notes);
    this.#filled = Atomics.load(this.#counts, FILLED);
  }

  /** Free space to write into, at least one byte; sleeps until there is some. Say with `commit` how much was used. */
  room(): Uint8Array {
    if (this.#block === undefined) {
      for (;;) {
        const emptied = Atomics.load(this.#counts, EMPTIED);
        if (((this.#filled - emptied) | 0) < this.#memory.blockCount) break;
        Atomics.wait(this.#counts, EMPTIED, emptied);
      }
      const at = (this.#filled >>> 0) % this.#memory.blockCount;
      this.#block = new Uint8Array(this.#memory.blocks, at * BLOCK_BYTES, BLOCK_BYTES);
      this.#blockBytes = 0;
    }
    return this.#block.subarray(this.#blockBytes);
  }

  /** @param sourceBytes How far the source has been read, for progress. */
  commit(byteCount: number, sourceBytes: number): void {
    this.#blockBytes += byteCount;
    if (this.#blockBytes === BLOCK_BYTES) this.#publish(KIND_BYTES, sourceBytes);
  }

  /** Copies `bytes` in. */
  write(bytes: Uint8Array, sourceBytes: number): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const room = this.room();
      const count = Math.min(room.byteLength, bytes.byteLength - at);
      room.set(bytes.subarray(at, at + count));
      this.commit(count, sourceBytes);
      at += count;
    }
  }

  /** Ends the present layer. */
  end(sourceBytes: number): void {
    this.#flush(sourceBytes);
    this.room();
    this.#publish(KIND_END, sourceBytes);
  }

  /** Ends the present layer with an error. */
  fail(error: unknown): void {
    this.#flush(0);
    const text = Buffer.from(JSON.stringify(encodeFailure(error)));
    const room = this.room();
    const shown =
      text.byteLength <= room.byteLength
        ? text
        : Buffer.from(JSON.stringify(encodeFailure('failure too long')));
    room.set(shown);
    this.#blockBytes = shown.byteLength;
    this.#publish(KIND_FAILURE, 0);
  }

  #flush(sourceBytes: number): void {
    if (this.#blockBytes > 0) this.#publish(KIND_BYTES, sourceBytes);
  }

  #publish(kind: number, sourceBytes: number): void {
    const note = ((this.#filled >>> 0) % this.#memory.blockCount) * NOTE_FIELDS;
    this.#notes.set([kind, this.#blockBytes, sourceBytes], note);
    this.#block = undefined;
    this.#blockBytes = 0;
    this.#filled = (this.#filled + 1) | 0;
    Atomics.store(this.#counts, FILLED, this.#filled);
    Atomics.notify(this.#counts, FILLED);
  }
}

export interface BlockHandler {
  /** The next bytes; the view is valid only during the call. */
  readonly onBytes: (bytes: Uint8Array, sourceBytes: number) => void;
  /** Milliseconds spent asleep. */
  readonly onWaited: (ms: number) => void;
}

/** The emptying end. */
export class BlockRingReader {
  readonly #memory: BlockRingMemory;
  readonly #counts: Int32Array;
  readonly #notes: Float64Array;
  #emptied: number;

  constructor(memory: BlockRingMemory) {
    this.#memory = memory;
    this.#counts = new Int32Array(memory.counts);
    this.#notes = new Float64Array(memory.notes);
    this.#emptied = Atomics.load(this.#counts, EMPTIED);
  }

  /** Reads one layer to its end. Throws what the other thread failed with, and what the handler throws. */
  readLayer(handler: BlockHandler): void {
    for (;;) {
      const at = this.#next(handler);
      const [kind, byteLength = 0, sourceBytes = 0] = this.#notes.subarray(
        at * NOTE_FIELDS,
        (at + 1) * NOTE_FIELDS,
      );
      const bytes = new Uint8Array(this.#memory.blocks, at * BLOCK_BYTES, byteLength);
      if (kind === KIND_BYTES) {
        handler.onBytes(bytes, sourceBytes);
        this.#giveBack();
        continue;
      }
      const failure = kind === KIND_FAILURE ? Buffer.from(bytes).toString('utf8') : undefined;
      this.#giveBack();
      if (failure !== undefined) throw decodeFailure(JSON.parse(failure) as ThreadFailure);
      if (kind === KIND_END) return;
      throw new HearthError('INTERNAL', `a block of unknown kind ${kind}`);
    }
  }

  /** Index of the oldest filled block; sleeps until there is one. */
  #next(handler: BlockHandler): number {
    if (Atomics.load(this.#counts, FILLED) === this.#emptied) {
      const startedAt = performance.now();
      while (Atomics.load(this.#counts, FILLED) === this.#emptied) {
        Atomics.wait(this.#counts, FILLED, this.#emptied);
      }
      handler.onWaited(performance.now() - startedAt);
    }
    return (this.#emptied >>> 0) % this.#memory.blockCount;
  }

  #giveBack(): void {
    this.#emptied = (this.#emptied + 1) | 0;
    Atomics.store(this.#counts, EMPTIED, this.#emptied);
    Atomics.notify(this.#counts, EMPTIED);
  }
}
