/** The image as a file: positional writes, gathered into large ones. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { fileError } from '../errors/index.js';
import { BLOCK_BYTES } from './format.js';

const NEW_FILE_MODE = 0o644;

export class ImageFile {
  readonly #fd: number;
  readonly #name: string;
  #ownsFd: boolean;
  #writtenBytes = 0;

  /** @param file A path at which nothing exists yet, or a descriptor that stays the caller's. */
  constructor(file: string | number) {
    this.#name = typeof file === 'string' ? file : `descriptor ${file}`;
    this.#ownsFd = typeof file === 'string';
    this.#fd = typeof file === 'number' ? file : this.#coded(() => openSync(file, 'wx+', NEW_FILE_MODE));
  }

  /** Bytes written so far, whatever was written twice counted twice. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  write(bytes: Uint8Array, position: number): void {
    this.#coded(() => {
      for (let done = 0; done < bytes.byteLength; ) {
        done += writeSync(this.#fd, bytes, done, bytes.byteLength - done, position + done);
      }
    });
    this.#writtenBytes += bytes.byteLength;
  }

  setSize(sizeBytes: number): void {
    this.#coded(() => ftruncateSync(this.#fd, sizeBytes));
  }

  close(): void {
    if (!this.#ownsFd) return;
    this.#ownsFd = false;
    closeSync(this.#fd);
  }

  #coded<T>(operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      throw fileError(error, this.#name);
    }
  }
}

/** Whole blocks on their way to the image: consecutive ones leave in one write. */
export class BlockStage {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #image: ImageFile;
  #firstBlock = 0;
  #blockCount = 0;

  constructor(image: ImageFile, buffer: ArrayBuffer) {
    this.#image = image;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /**
   * Makes room for one block, zeroed.
   *
   * @returns Its offset in `bytes`, valid until the next call.
   */
  claim(block: number): number {
    const offset = this.#blockCount * BLOCK_BYTES;
    if (offset === this.bytes.byteLength || block !== this.#firstBlock + this.#blockCount) {
      this.flush();
      this.#firstBlock = block;
      return this.#add(0);
    }
    return this.#add(offset);
  }

  flush(): void {
    if (this.#blockCount === 0) return;
    this.#image.write(this.bytes.subarray(0, this.#blockCount * BLOCK_BYTES), this.#firstBlock * BLOCK_BYTES);
    this.#blockCount = 0;
  }

  #add(offset: number): number {
    this.#blockCount += 1;
    this.bytes.fill(0, offset, offset + BLOCK_BYTES);
    return offset;
  }
}
