/** Makes a baseline from entries that come in any order, from sources that may be hostile. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import { writeFileAtomic } from '../../fsx/index.js';
import { displayPath } from '../../patch/index.js';
import { BASELINE_DIRECTORY, type BaselineEntry, DATA_FILE, MANIFEST_FILE } from './baseline-entry.js';

export interface SeedLimits {
  readonly maxBytes: number;
  readonly maxEntries: number;
}

/** A file, directory or link that is to be in the workspace. */
export interface SeedEntry {
  /** As its source spells it; latin1. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly mtimeNs: bigint;
  /** Of a file: as announced. */
  readonly sizeBytes: number;
  readonly target: string;
}

export interface BaselineFigures {
  readonly entryCount: number;
  readonly sizeBytes: number;
}

export const SEED_LIMITS: SeedLimits = { maxBytes: 1024 * 1024 * 1024, maxEntries: 100_000 };

const DIRECTORY_MODE = 0o755;
const MAX_PATH_BYTES = 4000;
const MAX_NAME_BYTES = 255;
const MAX_TARGET_BYTES = 4095;
const ZEROS = Buffer.alloc(64 * 1024);

interface OpenFile {
  readonly path: string;
  readonly entry: SeedEntry;
  readonly hash: Hash;
  readonly offsetBytes: number;
}

/** `Disposable`: closes the data file; a baseline that was not finished is the caller's to remove. */
export class BaselineWriter implements Disposable {
  readonly #directory: string;
  readonly #limits: SeedLimits;
  readonly #entries = new Map<string, BaselineEntry>();
  readonly #data: number;
  /** Bytes in the data file. */
  #dataBytes = 0;
  #file: OpenFile | undefined;

  private constructor(directory: string, limits: SeedLimits) {
    this.#directory = directory;
    this.#limits = limits;
    this.#data = openSync(join(directory, DATA_FILE), 'wx', 0o600);
  }

  /** In the directory of a sandbox that nobody sees yet. */
  static async create(sandboxDirectory: string, limits: SeedLimits = SEED_LIMITS): Promise<BaselineWriter> {
    const directory = join(sandboxDirectory, BASELINE_DIRECTORY);
    await mkdir(directory, { mode: 0o700 });
    return new BaselineWriter(directory, limits);
  }

  [Symbol.dispose](): void {
    closeSync(this.#data);
  }

  /**
   * Takes a directory or link, or begins a file, whose content follows by `write` and `endFile`. Of two entries
   * with one path the later counts; missing directories are made.
   *
   * @throws {HearthError} `PATH_ESCAPES_ROOT`, `SEED_INVALID`, `CONTENT_TOO_LARGE`, `ENTRIES_TOO_MANY`.
   */
  add(entry: SeedEntry): void {
    const path = this.#place(entry.path, entry.kind);
    if (path === '') return;
    if (entry.target.length > MAX_TARGET_BYTES || entry.target.includes('\0')) {
      throw invalid(path, `a link whose target has ${entry.target.length} bytes`);
    }
    if (entry.kind !== 'file') {
      this.#put(path, entry, { sizeBytes: 0, offsetBytes: 0, sha256: '' });
      return;
    }
    this.#assertRoom(path, entry.sizeBytes);
    this.#file = { path, entry, hash: createHash('sha256'), offsetBytes: this.#dataBytes };
  }

  /** The next bytes of the file; `atBytes` skips over a hole. */
  write(bytes: Uint8Array, atBytes?: number): void {
    const file = this.#file;
    if (file === undefined) return;
    let holeBytes = atBytes === undefined ? 0 : atBytes - (this.#dataBytes - file.offsetBytes);
    for (; holeBytes > 0; holeBytes -= ZEROS.byteLength) {
      this.#append(file, ZEROS.subarray(0, Math.min(holeBytes, ZEROS.byteLength)));
    }
    this.#append(file, bytes);
  }

  endFile(): void {
    const file = this.#file;
    if (file === undefined) return;
    const writtenBytes = this.#dataBytes - file.offsetBytes;
    // A hole may be the last of it; a file that grew or shrank meanwhile is what was read.
    if (writtenBytes < file.entry.sizeBytes && file.entry.sizeBytes - writtenBytes > 0) {
      this.write(Buffer.alloc(0), file.entry.sizeBytes);
    }
    this.#file = undefined;
    this.#put(file.path, file.entry, {
      sizeBytes: this.#dataBytes - file.offsetBytes,
      offsetBytes: file.offsetBytes,
      sha256: file.hash.digest('hex'),
    });
  }

  /** One more name for a file that came before. @throws {HearthError} `SEED_INVALID` when it did not. */
  addHardLink(rawPath: string, rawTarget: string): void {
    const target = this.#entries.get(cleanPath(rawTarget));
    const path = this.#place(rawPath, 'file');
    if (target?.kind !== 'file') {
      throw invalid(path, `a hard link to ${displayPath(rawTarget)}, which is no file before it`);
    }
    this.#entries.set(path, { ...target, path });
    this.#assertRoom(path, 0);
  }

  /** Writes the manifest; durable when it resolves. */
  async finish(): Promise<BaselineFigures> {
    const entries = [...this.#entries.values()]
      .map((entry) => ({ entry, key: entry.path.replaceAll('/', '\0') }))
      .sort((one, other) => (one.key < other.key ? -1 : 1))
      .map(({ entry }) => entry);
    fsyncSync(this.#data);
    await writeFileAtomic(
      join(this.#directory, MANIFEST_FILE),
      `${JSON.stringify({ schemaVersion: 1, entries })}\n`,
    );
    const sizeBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
    return { entryCount: entries.length, sizeBytes };
  }

  #append(file: OpenFile, bytes: Uint8Array): void {
    this.#assertRoom(file.path, bytes.byteLength);
    file.hash.update(bytes);
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(this.#data, bytes, at);
    this.#dataBytes += bytes.byteLength;
  }

  #put(
    path: string,
    { kind, mode, mtimeNs, target }: SeedEntry,
    content: Pick<BaselineEntry, 'sizeBytes' | 'offsetBytes' | 'sha256'>,
  ): void {
    // Set-id and sticky bits are nothing that a source may bring along.
    this.#entries.set(path, { path, kind, mode: mode & 0o777, mtimeNs: String(mtimeNs), target, ...content });
    this.#assertRoom(path, 0);
  }

  /** Cleans the path and sees to its parents. */
  #place(raw: string, kind: SeedEntry['kind']): string {
    const path = cleanPath(raw);
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash);
      const known = this.#entries.get(parent);
      if (known === undefined)
        this.#put(parent, directoryEntry(parent), { sizeBytes: 0, offsetBytes: 0, sha256: '' });
      else if (known.kind !== 'directory') {
        throw invalid(path, `it lies below ${displayPath(parent)}, which is a ${known.kind}`);
      }
    }
    const known = this.#entries.get(path);
    if (known !== undefined && (known.kind === 'directory') !== (kind === 'directory')) {
      throw invalid(path, `it is a ${known.kind} and a ${kind}`);
    }
    return path;
  }

  #assertRoom(path: string, bytes: number): void {
    const { maxBytes, maxEntries } = this.#limits;
    const hint = 'Seed a smaller directory, or only the files that Git tracks.';
    if (this.#dataBytes + bytes > maxBytes) {
      throw new HearthError(
        'CONTENT_TOO_LARGE',
        `a seed of more than ${maxBytes} bytes, at ${displayPath(path)}`,
        {
          hint,
          details: { path: displayPath(path), maxBytes },
        },
      );
    }
    if (this.#entries.size > maxEntries) {
      throw new HearthError('ENTRIES_TOO_MANY', `a seed of more than ${maxEntries} files`, {
        hint,
        details: { path: displayPath(path), maxEntries },
      });
    }
  }
}

function directoryEntry(path: string): SeedEntry {
  return { path, kind: 'directory', mode: DIRECTORY_MODE, mtimeNs: 0n, sizeBytes: 0, target: '' };
}

/** @throws {HearthError} `PATH_ESCAPES_ROOT`, `SEED_INVALID`. */
function cleanPath(raw: string): string {
  const parts = raw.split('/').filter((part) => part !== '' && part !== '.');
  if (raw.startsWith('/') || parts.includes('..')) {
    throw new HearthError(
      'PATH_ESCAPES_ROOT',
      `the seed has a path that leads out of it: ${displayPath(raw)}`,
      {
        hint: 'Make the archive anew with relative paths, for example `tar -C DIR -cf seed.tar .`.',
        details: { path: displayPath(raw) },
      },
    );
  }
  const path = parts.join('/');
  if (
    path.length > MAX_PATH_BYTES ||
    parts.some((part) => part.length > MAX_NAME_BYTES) ||
    path.includes('\0')
  ) {
    throw invalid(path, 'its path is longer than Linux takes');
  }
  return path;
}

function invalid(path: string, problem: string): HearthError {
  return new HearthError(
    'SEED_INVALID',
    `the seed has a file that cannot be taken: ${displayPath(path)}: ${problem}`,
    {
      hint: 'Leave that file out, or seed another directory or archive.',
      details: { path: displayPath(path), problem },
    },
  );
}
