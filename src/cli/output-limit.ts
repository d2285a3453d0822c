import { Writable } from 'node:stream';

/** Passes on the first bytes of what is written to it, held back as its target is, and drops and counts the rest. */
export class OutputLimit extends Writable {
  readonly #target: Writable;
  #leftBytes: number;
  #droppedBytes = 0;

  constructor(target: Writable, limitBytes: number) {
    super();
    this.#target = target;
    this.#leftBytes = limitBytes;
  }

  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const passed = chunk.subarray(0, this.#leftBytes);
    this.#leftBytes -= passed.byteLength;
    this.#droppedBytes += chunk.byteLength - passed.byteLength;
    if (passed.byteLength === 0) done();
    else this.#target.write(passed, done);
  }
}
