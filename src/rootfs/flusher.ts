/** Starts writing back what has been written while more is coming, so that the last sync has little left to do. */
import { fdatasync, fsync } from 'node:fs';

/** What may be dirty before the next flush begins. */
const FLUSH_BYTES = 64 * 1024 * 1024;

export class Flusher {
  readonly #fd: number;
  readonly #pending: Promise<void>[] = [];
  #dirtyBytes = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** About `byteCount` more bytes were written. Does not wait. */
  add(byteCount: number): void {
    this.#dirtyBytes += byteCount;
    if (this.#dirtyBytes < FLUSH_BYTES) return;
    this.#dirtyBytes = 0;
    // A failure is kept for `finish`: the kernel reports it only once.
    const flush = flushed((done) => fdatasync(this.#fd, done));
    flush.catch(() => undefined);
    this.#pending.push(flush);
  }

  /** Waits until the whole file is on the disk. */
  async finish(): Promise<void> {
    await flushed((done) => fsync(this.#fd, done));
    await Promise.all(this.#pending);
  }
}

function flushed(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}
