import { Writable } from 'node:stream';

/** Keeps the first bytes of what is written to it and counts the rest, so that a flood cannot fill memory. */
export class CaptureStream extends Writable {
  readonly #limitBytes: number;
  readonly #chunks: Buffer[] = [];
  #keptBytes = 0;
  #totalBytes = 0;

  constructor(limitBytes: number) {
    super();
    this.#limitBytes = limitBytes;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const kept = chunk.subarray(0, this.#limitBytes - this.#keptBytes);
    // A copy: the bytes belong to whoever wrote them.
    if (kept.byteLength > 0) this.#chunks.push(Buffer.from(kept));
    this.#keptBytes += kept.byteLength;
    this.#totalBytes += chunk.byteLength;
    done();
  }

  get truncated(): boolean {
    return this.#totalBytes > this.#keptBytes;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** The kept bytes as text where they are UTF-8, else as base64. */
  encoded(): { readonly text: string; readonly encoding: 'utf8' | 'base64' } {
    const bytes = Buffer.concat(this.#chunks);
    try {
      return {
        text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
        encoding: 'utf8',
      };
    } catch {
      return { text: bytes.toString('base64'), encoding: 'base64' };
    }
  }
}
