/**
 * The part of an output that fits a result: its beginning and, twice as long, its end. What does not fit is
 * handed to a sink from the first byte on, or only counted.
 */
import { decodeText, guestText } from './guest-text.js';

/** Where a whole output goes once it is too long for the result. */
export interface OverflowSink {
  /** Resolves when more may come. Never rejects: a sink that fails takes the rest and says so at the end. */
  write(chunk: Buffer): Promise<void>;
}

export class OutputCapture {
  readonly #limitBytes: number;
  readonly #headBytes: number;
  readonly #openSink: (() => OverflowSink) | undefined;
  #head = Buffer.alloc(0);
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #totalBytes = 0;
  #sink: OverflowSink | undefined;

  /** @param openSink Called once, when the output turns out to be longer than `limitBytes`. */
  constructor(limitBytes: number, openSink?: () => OverflowSink) {
    this.#limitBytes = limitBytes;
    this.#headBytes = Math.floor(limitBytes / 3);
    this.#openSink = openSink;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get truncated(): boolean {
    return this.#totalBytes > this.#limitBytes;
  }

  async push(chunk: Buffer): Promise<void> {
    // A copy: the bytes belong to whoever wrote them.
    const copy = Buffer.from(chunk);
    const wasWhole = !this.truncated;
    this.#totalBytes += copy.byteLength;
    if (this.truncated && this.#openSink !== undefined) {
      this.#sink ??= this.#openSink();
      if (wasWhole) await this.#sink.write(Buffer.concat([this.#head, ...this.#tail]));
      await this.#sink.write(copy);
    }
    this.#keep(copy);
  }

  #keep(chunk: Buffer): void {
    const room = this.#headBytes - this.#head.byteLength;
    if (room > 0) this.#head = Buffer.concat([this.#head, chunk.subarray(0, room)]);
    const rest = chunk.subarray(Math.max(0, room));
    if (rest.byteLength === 0) return;
    this.#tail.push(rest);
    this.#tailBytes += rest.byteLength;
    const limit = this.#limitBytes - this.#headBytes;
    while (this.#tailBytes - (this.#tail[0]?.byteLength ?? 0) >= limit) {
      this.#tailBytes -= this.#tail.shift()?.byteLength ?? 0;
    }
  }

  /** What is kept, safe to show; a line between beginning and end says how much is missing. */
  text(): string {
    const tail = Buffer.concat(this.#tail);
    if (!this.truncated) return guestText(decodeText(Buffer.concat([this.#head, tail])));
    const end = tail.subarray(Math.max(0, tail.byteLength - (this.#limitBytes - this.#headBytes)));
    const missing = this.#totalBytes - this.#head.byteLength - end.byteLength;
    return `${guestText(decodeText(this.#head, { end: true }))}\n[… ${missing} bytes left out …]\n${guestText(decodeText(end, { begin: true }))}`;
  }
}
