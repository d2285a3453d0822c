import { Writable } from 'node:stream';
import { BoundedBytes } from '../bytes/index.js';

/** Keeps the first bytes of what is written to it and counts the rest. */
export class CaptureStream extends Writable {
  readonly #kept: BoundedBytes;

  constructor(limitBytes: number) {
    super();
    this.#kept = new BoundedBytes(limitBytes);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#kept.push(chunk);
    done();
  }

  get truncated(): boolean {
    return this.#kept.truncated;
  }

  get totalBytes(): number {
    return this.#kept.totalBytes;
  }

  /** The kept bytes as text where they are UTF-8, else as base64. */
  encoded(): { readonly text: string; readonly encoding: 'utf8' | 'base64' } {
    return this.#kept.encoded();
  }
}
