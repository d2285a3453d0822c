/**
 * A blob that may still be arriving, read from its beginning as far as it is there. The reading thread sleeps
 * while it waits; another thread says through shared memory how far the file has grown.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { HearthError } from '../errors/index.js';

/** Sizes of all files of a build, by index; shared between threads. */
export type GrowthMemory = SharedArrayBuffer;

const READ_BYTES = 256 * 1024;

export function createGrowth(fileCount: number): GrowthMemory {
  return new SharedArrayBuffer(fileCount * BigInt64Array.BYTES_PER_ELEMENT);
}

/** Says that `byteCount` bytes of file `index` can be read. */
export function announceGrowth(growth: GrowthMemory, index: number, byteCount: number): void {
  const sizes = new BigInt64Array(growth);
  Atomics.store(sizes, index, BigInt(byteCount));
  Atomics.notify(sizes, index);
}

export interface BlobPlace {
  readonly path: string;
  /** Where the blob begins in the file. */
  readonly offsetBytes: number;
  /** What the blob has when it is complete. */
  readonly sizeBytes: number;
}

export class GrowingFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #base: number;
  readonly #sizeBytes: number;
  readonly #sizes: BigInt64Array;
  readonly #index: number;
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #readBytes = 0;

  constructor({ path, offsetBytes, sizeBytes }: BlobPlace, growth: GrowthMemory, index: number) {
    this.#path = path;
    this.#base = offsetBytes;
    this.#sizeBytes = sizeBytes;
    this.#sizes = new BigInt64Array(growth);
    this.#index = index;
    this.#fd = openSync(path, 'r');
  }

  /** How far the file has been read. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** The bytes at `offset`, as many as there are, at most 256 KiB; empty at the end. Valid until the next call. */
  read(offset: number): Buffer {
    const wanted = Math.min(READ_BYTES, this.#sizeBytes - offset);
    if (wanted <= 0) return this.#buffer.subarray(0, 0);
    const byteCount = Math.min(wanted, this.#waitFor(offset) - offset);
    const count = readSync(this.#fd, this.#buffer, 0, byteCount, this.#base + offset);
    if (count === 0) throw shorter(this.#path, this.#sizeBytes, offset);
    this.#readBytes = Math.max(this.#readBytes, offset + count);
    return this.#buffer.subarray(0, count);
  }

  /** All bytes from the beginning; each chunk is valid until the next. */
  *chunks(): Generator<Buffer, void> {
    for (let offset = 0; ; ) {
      const chunk = this.read(offset);
      if (chunk.byteLength === 0) return;
      offset += chunk.byteLength;
      yield chunk;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** How many bytes can be read, more than `offset`; sleeps until there are. */
  #waitFor(offset: number): number {
    for (;;) {
      const available = Atomics.load(this.#sizes, this.#index);
      if (available > offset) return Number(available);
      Atomics.wait(this.#sizes, this.#index, available);
    }
  }
}

function shorter(path: string, sizeBytes: number, offset: number): HearthError {
  return new HearthError('SIZE_MISMATCH', `the blob ${path} has ${offset} bytes, ${sizeBytes} are expected`, {
    hint: 'Run the same command again; the blob was cut while it was read.',
    details: { path, expectedBytes: sizeBytes, actualBytes: offset },
  });
}
