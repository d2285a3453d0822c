/** Reads a byte stream in pieces of known length. */
import { protocolError } from './errors.js';

export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next bytes, 1..`mostBytes`; undefined at the end. A view that the caller may keep. */
  async some(mostBytes: number): Promise<Uint8Array | undefined> {
    while (this.#chunk.byteLength === 0) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      this.#chunk = next.value;
    }
    const taken = this.#chunk.subarray(0, mostBytes);
    this.#chunk = this.#chunk.subarray(taken.byteLength);
    return taken;
  }

  /** Exactly so many bytes; undefined when the stream ends before the first. Throws when it ends amid them. */
  async exactly(lengthBytes: number): Promise<Uint8Array | undefined> {
    const whole = new Uint8Array(lengthBytes);
    let filledBytes = 0;
    while (filledBytes < lengthBytes) {
      const part = await this.some(lengthBytes - filledBytes);
      if (part === undefined) {
        if (filledBytes === 0) return undefined;
        throw protocolError('a stream of files ends amid an entry');
      }
      whole.set(part, filledBytes);
      filledBytes += part.byteLength;
    }
    return whole;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
