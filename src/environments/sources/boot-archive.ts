/**
 * Reads the artifacts of an environment out of tar archives from hostile hands: only `rootfs.ext4`, `vmlinux`
 * and `initrd` at the root, each once, each a regular file. Everything else is refused, not skipped.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, HearthError } from '../../errors/index.js';
import { displayName, type TarEntry, TarReader } from '../../tar/index.js';
import { INITRD_FILE, KERNEL_FILE, ROOTFS_FILE } from '../install-manifest.js';

/** Member names and the artifacts they become. */
const MEMBERS: Readonly<Record<string, string>> = {
  [ROOTFS_FILE]: ROOTFS_FILE,
  [KERNEL_FILE]: KERNEL_FILE,
  [INITRD_FILE]: INITRD_FILE,
  'initrd.img': INITRD_FILE,
};
/** Described by hearth's own manifest; accepted and not read. */
const IGNORED: ReadonlySet<string> = new Set(['environment.json', 'manifest.json']);
const DEFAULT_MAX_CONTENT_BYTES = 64 * 1024 ** 3;
const MAX_ENTRIES = 64;
const HOLE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(HOLE_BYTES);

/** True for a member name that an archive of an environment may have. */
export function isBootArchiveMember(path: string): boolean {
  const name = memberName(path);
  return name === '' || IGNORED.has(name) || Object.hasOwn(MEMBERS, name);
}

function memberName(path: string): string {
  return path.replace(/^(?:\.\/+)+/, '').replace(/^\.$/, '');
}

/** Takes any number of tar streams, one after the other, and writes their artifacts to a directory. */
export class BootArchiveExtractor {
  readonly #directory: string;
  readonly #maxContentBytes: number;
  readonly #seen = new Set<string>();
  /** What the reader delivered and nobody has written yet; at most one pushed chunk. */
  #pending: { readonly file: string; readonly offsetBytes: number; readonly bytes: Buffer }[] = [];
  #finished: { readonly file: string; readonly sizeBytes: number }[] = [];
  readonly #open = new Map<string, FileHandle>();
  #reader: TarReader | undefined;
  #current: { readonly file: string; readonly sizeBytes: number } | undefined;
  #entryCount = 0;
  #contentBytes = 0;

  constructor(directory: string, options: { readonly maxContentBytes?: number } = {}) {
    this.#directory = directory;
    this.#maxContentBytes = options.maxContentBytes ?? DEFAULT_MAX_CONTENT_BYTES;
  }

  /** The artifacts written so far. */
  get files(): ReadonlySet<string> {
    return this.#seen;
  }

  /**
   * Takes the next bytes of the current archive.
   *
   * @throws {HearthError} `ARCHIVE_INVALID`, `TAR_INVALID`, `CONTENT_TOO_LARGE`, `DISK_FULL`.
   */
  async push(chunk: Uint8Array): Promise<void> {
    this.#reader ??= new TarReader({
      onEntry: (entry) => this.#onEntry(entry),
      onData: (bytes, offsetBytes) => this.#onData(bytes, offsetBytes),
      onFileEnd: () => this.#onFileEnd(),
    });
    this.#reader.push(chunk);
    await this.#flush();
  }

  /** Ends the current archive; another may follow. @throws {HearthError} `TAR_TRUNCATED`, `ARCHIVE_INVALID`. */
  async finishArchive(): Promise<void> {
    this.#reader?.finish();
    this.#reader = undefined;
    await this.#flush();
  }

  /** Closes what is open. Idempotent. */
  async close(): Promise<void> {
    const files = [...this.#open.values()];
    this.#open.clear();
    for (const file of files) await file.close();
  }

  #onEntry(entry: TarEntry): void {
    this.#entryCount += 1;
    if (this.#entryCount > MAX_ENTRIES) throw invalid('it has too many entries', entry);
    const name = memberName(entry.path);
    this.#current = undefined;
    if (entry.kind === 'directory' && name === '') return;
    if (entry.kind !== 'file') throw invalid(`it holds a ${entry.kind}`, entry);
    if (IGNORED.has(name)) return;
    const file = Object.hasOwn(MEMBERS, name) ? MEMBERS[name] : undefined;
    if (file === undefined) throw invalid('it holds something that is no part of an environment', entry);
    if (this.#seen.has(file)) throw invalid('it holds an artifact twice', entry);
    this.#contentBytes += entry.sizeBytes;
    if (this.#contentBytes > this.#maxContentBytes) {
      throw new HearthError(
        'CONTENT_TOO_LARGE',
        `the archive's artifacts have more than ${this.#maxContentBytes} bytes`,
        {
          hint: 'Check where the archive came from; no environment is that large.',
          details: { limitBytes: this.#maxContentBytes, path: displayName(entry.path) },
        },
      );
    }
    this.#seen.add(file);
    this.#current = { file, sizeBytes: entry.sizeBytes };
  }

  #onData(bytes: Uint8Array, offsetBytes: number): void {
    if (this.#current === undefined) return;
    this.#pending.push({ file: this.#current.file, offsetBytes, bytes: Buffer.from(bytes) });
  }

  #onFileEnd(): void {
    if (this.#current !== undefined) this.#finished.push(this.#current);
    this.#current = undefined;
  }

  async #flush(): Promise<void> {
    const pending = this.#pending;
    const finished = this.#finished;
    this.#pending = [];
    this.#finished = [];
    try {
      for (const { file, offsetBytes, bytes } of pending) {
        const handle = await this.#handle(file);
        await writeSparse(handle, bytes, offsetBytes);
      }
      for (const { file, sizeBytes } of finished) {
        const handle = await this.#handle(file);
        await handle.truncate(sizeBytes);
        await handle.close();
        this.#open.delete(file);
      }
    } catch (error) {
      throw fileError(error, this.#directory);
    }
  }

  async #handle(file: string): Promise<FileHandle> {
    const existing = this.#open.get(file);
    if (existing !== undefined) return existing;
    const handle = await open(join(this.#directory, file), 'wx', 0o600);
    this.#open.set(file, handle);
    return handle;
  }
}

/** Writes what is not zero; runs of zeros stay holes. */
async function writeSparse(file: FileHandle, bytes: Buffer, offsetBytes: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += HOLE_BYTES) {
    const part = bytes.subarray(at, at + HOLE_BYTES);
    if (part.equals(ZEROS.subarray(0, part.byteLength))) continue;
    await file.write(part, 0, part.byteLength, offsetBytes + at);
  }
}

function invalid(problem: string, entry: TarEntry): HearthError {
  const path = displayName(entry.path);
  return new HearthError('ARCHIVE_INVALID', `not an archive of an environment: ${problem}: ${path}`, {
    hint: 'Make an archive with only rootfs.ext4, vmlinux and perhaps initrd at its root.',
    details: { path, kind: entry.kind, problem },
  });
}
