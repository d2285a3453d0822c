/** The baseline of a workspace: what it was when it began. It never changes, and goes with its sandbox. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, HearthError } from '../../errors/index.js';
import { readFileBounded } from '../../fsx/index.js';
import {
  BASELINE_DIRECTORY,
  type BaselineEntry,
  baselineSchema,
  DATA_FILE,
  MANIFEST_FILE,
  MAX_MANIFEST_BYTES,
} from './baseline-entry.js';

const PIECE_BYTES = 256 * 1024;

export class Baseline implements AsyncDisposable {
  /** By path, a directory before what is in it, and what is in it before anything else. */
  readonly entries: ReadonlyMap<string, BaselineEntry>;
  readonly #path: string;
  readonly #data: FileHandle;

  private constructor(path: string, entries: readonly BaselineEntry[], data: FileHandle) {
    this.#path = path;
    this.entries = new Map(entries.map((entry) => [entry.path, entry]));
    this.#data = data;
  }

  /** @throws {HearthError} `STORE_CORRUPT`, `FILE_NOT_FOUND`. */
  static async open(sandboxDirectory: string): Promise<Baseline> {
    const path = join(sandboxDirectory, BASELINE_DIRECTORY);
    try {
      const text = (await readFileBounded(join(path, MANIFEST_FILE), MAX_MANIFEST_BYTES)).toString('utf8');
      const { entries } = baselineSchema.parse(JSON.parse(text));
      return new Baseline(path, entries, await open(join(path, DATA_FILE), 'r'));
    } catch (error) {
      const coded = fileError(error, path);
      throw HearthError.is(coded) ? coded : corrupt(path, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#data.close();
  }

  /** The content of a file, in pieces that are valid until the next. */
  async *stream({ offsetBytes, sizeBytes }: BaselineEntry): AsyncGenerator<Uint8Array> {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, sizeBytes));
    for (let at = 0; at < sizeBytes; ) {
      const wanted = Math.min(piece.byteLength, sizeBytes - at);
      const { bytesRead } = await this.#data.read(piece, 0, wanted, offsetBytes + at);
      if (bytesRead === 0) throw corrupt(this.#path);
      yield Buffer.from(piece.subarray(0, bytesRead));
      at += bytesRead;
    }
  }

  /** The content of a file as a whole, checked. @throws {HearthError} `STORE_CORRUPT`. */
  async read(entry: BaselineEntry): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.stream(entry)) pieces.push(piece);
    const content = Buffer.concat(pieces);
    if (createHash('sha256').update(content).digest('hex') !== entry.sha256) throw corrupt(this.#path);
    return content;
  }
}

function corrupt(path: string, cause?: unknown): HearthError {
  return new HearthError('STORE_CORRUPT', `the baseline in ${path} is damaged`, {
    hint: 'Create the sandbox anew with --seed-path.',
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
