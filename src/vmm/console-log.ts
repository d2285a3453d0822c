/**
 * What the guest writes to its console, within bounds: the end of it in memory, more in a file that starts anew
 * when it is full. The guest may write for ever and is never waited for: what the disk cannot take is counted
 * and dropped.
 */
import { type FileHandle, open, rename } from 'node:fs/promises';
import type { Readable } from 'node:stream';

const TAIL_BYTES = 64 * 1024;
/** Of each of `console.log` and the one before it, `console.log.1`. */
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_QUEUED_BYTES = 256 * 1024;
const CLOSE_WAIT_MS = 1000;

export class ConsoleLog {
  readonly #path: string;
  readonly #ended: Promise<void>;
  #tail: Buffer = Buffer.alloc(0);
  #queued: Buffer[] = [];
  #queuedBytes = 0;
  #droppedBytes = 0;
  #file: FileHandle | undefined;
  #fileBytes = 0;
  #writing: Promise<void> | undefined;

  private constructor(path: string, source: Readable) {
    this.#path = path;
    source.on('data', (chunk: Buffer) => this.#receive(chunk));
    // A console that breaks off ends like any other; the VM's own exit says why.
    source.on('error', () => source.destroy());
    this.#ended = new Promise((resolve) => source.once('close', resolve));
  }

  /** Starts to record `source` to the file `path`, replacing it. A file that cannot be made leaves the tail. */
  static record(source: Readable, path: string): ConsoleLog {
    return new ConsoleLog(path, source);
  }

  /** The last `maxBytes` (at most 64 KiB), control characters escaped except line ends and tabs. */
  tail(maxBytes: number): string {
    return escapeControl(
      this.#tail.subarray(Math.max(0, this.#tail.byteLength - maxBytes)).toString('latin1'),
    );
  }

  /** Resolves when the console has ended and all that is kept is in the file; waits at most 1 s. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_WAIT_MS);
    });
    await Promise.race([this.#ended, limit]);
    clearTimeout(timer);
    await this.#writing;
    await this.#file?.close();
  }

  #receive(chunk: Buffer): void {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
    if (this.#queuedBytes + chunk.byteLength > MAX_QUEUED_BYTES) {
      this.#droppedBytes += chunk.byteLength;
    } else {
      this.#queued.push(chunk);
      this.#queuedBytes += chunk.byteLength;
    }
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
    });
  }

  async #drain(): Promise<void> {
    while (this.#queued.length > 0 || this.#droppedBytes > 0) {
      const note = this.#droppedBytes === 0 ? '' : `\n[hearth: ${this.#droppedBytes} bytes dropped here]\n`;
      const data = Buffer.concat([...this.#queued, Buffer.from(note)]);
      this.#queued = [];
      this.#queuedBytes = 0;
      this.#droppedBytes = 0;
      try {
        this.#file ??= await open(this.#path, 'w', 0o600);
        if (this.#fileBytes + data.byteLength > MAX_FILE_BYTES) this.#file = await this.#rotate(this.#file);
        await this.#file.write(data);
        this.#fileBytes += data.byteLength;
      } catch {
        // A full disk must not end the VM; the tail in memory is still right.
        this.#fileBytes = MAX_FILE_BYTES;
      }
    }
  }

  async #rotate(old: FileHandle): Promise<FileHandle> {
    await rename(this.#path, `${this.#path}.1`);
    const next = await open(this.#path, 'w', 0o600);
    this.#fileBytes = 0;
    await old.close();
    return next;
  }
}

/** Makes what a guest wrote safe to show: nothing in it can move a cursor or set a title. */
export function escapeControl(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(/[^\n\t\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
