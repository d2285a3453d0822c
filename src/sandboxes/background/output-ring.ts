/** The end of what a command has written, with the positions of its bytes; and whoever waits for more of it. */

export interface OutputPiece {
  readonly bytes: Buffer;
  /** Position of the first byte. */
  readonly cursor: number;
  /** Where the next piece begins. */
  readonly next: number;
  /** Between what was asked for and the first byte: no longer kept. */
  readonly lostBytes: number;
}

/** Small pieces are joined: a piece costs more than its bytes. */
const MAX_PIECES = 256;

export class OutputRing {
  readonly #capacityBytes: number;
  #pieces: Buffer[] = [];
  #keptBytes = 0;
  #endCursor = 0;

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  /** Position after the last byte. */
  get end(): number {
    return this.#endCursor;
  }

  /** Position of the oldest byte that is kept. */
  get begin(): number {
    return this.#endCursor - this.#keptBytes;
  }

  append(bytes: Uint8Array): void {
    this.#pieces.push(Buffer.from(bytes));
    this.#keptBytes += bytes.byteLength;
    this.#endCursor += bytes.byteLength;
    if (this.#pieces.length > MAX_PIECES) this.#pieces = [Buffer.concat(this.#pieces)];
    for (let first = this.#pieces[0]; first !== undefined && this.#keptBytes > this.#capacityBytes; ) {
      const surplus = Math.min(first.byteLength, this.#keptBytes - this.#capacityBytes);
      if (surplus === first.byteLength) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(surplus);
      this.#keptBytes -= surplus;
      first = this.#pieces[0];
    }
  }

  /** What follows has this position; bytes between it and the end are lost. Never goes back. */
  skipTo(cursor: number): void {
    if (cursor <= this.#endCursor) return;
    this.#pieces = [];
    this.#keptBytes = 0;
    this.#endCursor = cursor;
  }

  /** At most `maxBytes` from `cursor` on, or from the oldest byte that is kept. */
  read(cursor: number, maxBytes: number): OutputPiece {
    const from = Math.min(Math.max(cursor, this.begin), this.#endCursor);
    const kept = Buffer.concat(this.#pieces, this.#keptBytes);
    const bytes = kept.subarray(from - this.begin, Math.min(from - this.begin + maxBytes, kept.byteLength));
    return {
      bytes,
      cursor: from,
      next: from + bytes.byteLength,
      lostBytes: Math.max(0, from - cursor),
    };
  }
}
