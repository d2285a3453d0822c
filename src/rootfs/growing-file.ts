/** A blob that may still be arriving, read from its beginning as far as it is there. */
import { closeSync, openSync, readSync } from 'node:fs';
import { HearthError } from '../errors/index.js';

const READ_BYTES = 256 * 1024;

export class GrowingFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #sizeBytes: number;
  #available = 0;
  #readBytes = 0;
  #wake: (() => void) | undefined;

  /** @param sizeBytes What the blob will have when it is complete. */
  constructor(path: string, sizeBytes: number) {
    this.#path = path;
    this.#fd = openSync(path, 'r');
    this.#sizeBytes = sizeBytes;
  }

  /** How far the file has been read. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** Says that `byteCount` bytes can be read. */
  grow(byteCount: number): void {
    this.#available = Math.max(this.#available, Math.min(byteCount, this.#sizeBytes));
    this.#wake?.();
  }

  /** The bytes at `offset`, as many as there are, at most 256 KiB, in a buffer of their own; empty at the end. */
  async read(offset: number): Promise<Buffer> {
    const wanted = Math.min(READ_BYTES, this.#sizeBytes - offset);
    if (wanted <= 0) return Buffer.alloc(0);
    while (this.#available <= offset) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const buffer = Buffer.allocUnsafeSlow(Math.min(wanted, this.#available - offset));
    const count = readSync(this.#fd, buffer, 0, buffer.byteLength, offset);
    if (count === 0) throw shorter(this.#path, this.#sizeBytes, offset);
    this.#readBytes = Math.max(this.#readBytes, offset + count);
    return buffer.subarray(0, count);
  }

  /** All bytes from the beginning. */
  async *chunks(): AsyncGenerator<Buffer, void> {
    let offset = 0;
    for (;;) {
      const chunk = await this.read(offset);
      if (chunk.byteLength === 0) return;
      offset += chunk.byteLength;
      yield chunk;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function shorter(path: string, sizeBytes: number, offset: number): HearthError {
  return new HearthError('SIZE_MISMATCH', `the blob ${path} has ${offset} bytes, ${sizeBytes} are expected`, {
    hint: 'Run the same command again; the blob was cut while it was read.',
    details: { path, expectedBytes: sizeBytes, actualBytes: offset },
  });
}
