/**
 * Archives of a guest, unpacked below a directory of this host, whose names and links are the guest's to choose.
 *
 * Nothing outside that directory is ever written: names with `..` are refused, every directory on the way to an
 * entry is opened without following links, and a hard link leads only to a file that came out of the same archive.
 * Files, links and links' replacements appear under their names by a rename, whole or not at all. Devices and
 * FIFOs are not made.
 */
import { constants } from 'node:fs';
import {
  chmod,
  chown,
  type FileHandle,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  rename,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import process from 'node:process';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { cleanTarPath, displayName, readTarEntries, type TarEntry, type TarItem } from '../tar/index.js';
import { inTheWay, OpenDirectory, stagingName } from './open-directory.js';

export interface UnpackOptions {
  /** What the root of the archive is called (latin1); anything else in it is refused. Default: anything goes. */
  readonly only?: string;
  /** Owners, set-id and sticky bits as the archive has them; owners only as root. Default: yours, without. */
  readonly keepOwners?: boolean;
  /** Default a million. */
  readonly maxEntries?: number;
  /** Of all contents together. Default 64 GiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
  /** Called with all bytes of contents so far. */
  readonly onBytes?: (contentBytes: number) => void;
}

export interface SkippedEntry {
  /** Below the directory, as UTF-8. */
  readonly path: string;
  readonly kind: TarEntry['kind'];
}

export interface UnpackResult {
  /** Of the archive, with the skipped ones. */
  readonly entryCount: number;
  readonly contentBytes: number;
  /** Devices and FIFOs; the first hundred. */
  readonly skipped: readonly SkippedEntry[];
  readonly skippedCount: number;
}

const DEFAULT_MAX_ENTRIES = 1_000_000;
const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;
const MAX_SKIPPED_SHOWN = 100;
const MAX_DEPTH = 1024;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const MAX_MTIME_SECONDS = 2 ** 33;

/**
 * @param directory Exists; the user's own choice, so links on the way to it are followed.
 * @throws {HearthError} `PATH_ESCAPES_ROOT`, `HARDLINK_TARGET_MISSING`, `COPY_TARGET_CONFLICT` when something of
 *   another kind has a name already, `ENTRIES_TOO_MANY`, `CONTENT_TOO_LARGE`, `TAR_…`, `DISK_FULL`,
 *   `FILE_UNREADABLE`; rejects with `signal.reason`. What was unpacked before stays.
 */
export async function unpackTree(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  options: UnpackOptions = {},
): Promise<UnpackResult> {
  const root = await OpenDirectory.open(directory);
  const unpacker = new Unpacker(root, options);
  try {
    for await (const item of readTarEntries(source)) await unpacker.take(item);
    await unpacker.finish();
    return unpacker.result;
  } finally {
    await unpacker.close();
  }
}

interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

class Unpacker {
  readonly #root: OpenDirectory;
  readonly #options: UnpackOptions;
  /** The directory of the last entry, below the root. */
  #here: { readonly path: string; readonly directory: OpenDirectory } | undefined;
  readonly #files = new Map<string, FileIdentity>();
  /** Made here, in order; they get their modes and times when nothing more is put into them. */
  readonly #made: { readonly path: string; readonly entry: TarEntry }[] = [];
  readonly #skipped: SkippedEntry[] = [];
  #skippedCount = 0;
  #entryCount = 0;
  #contentBytes = 0;

  constructor(root: OpenDirectory, options: UnpackOptions) {
    this.#root = root;
    this.#options = options;
  }

  get result(): UnpackResult {
    return {
      entryCount: this.#entryCount,
      contentBytes: this.#contentBytes,
      skipped: this.#skipped,
      skippedCount: this.#skippedCount,
    };
  }

  async take({ entry, content }: TarItem): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const path = cleanTarPath(entry.path);
    this.#count(path, entry);
    if (path === '') {
      if (entry.kind !== 'directory') throw refused(path, 'stands where the directory is');
      return;
    }
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    const parent = await this.#directory(slash === -1 ? '' : path.slice(0, slash));
    try {
      await this.#put(parent, name, path, entry, content);
    } catch (error) {
      throw fileError(error, parent.shown(name));
    }
  }

  /** Gives the directories that were made here their modes and times, the innermost first. */
  async finish(): Promise<void> {
    for (const { path, entry } of this.#made.reverse()) {
      const directory = await this.#directory(path);
      if (this.#ownsOwners) await chown(directory.self, entry.uid, entry.gid);
      await chmod(directory.self, this.#mode(entry));
      await utimes(directory.self, ...times(entry));
    }
  }

  async close(): Promise<void> {
    await this.#here?.directory[Symbol.asyncDispose]();
    await this.#root[Symbol.asyncDispose]();
  }

  #count(path: string, { kind, sizeBytes }: TarEntry): void {
    const { only, maxEntries = DEFAULT_MAX_ENTRIES, maxBytes = DEFAULT_MAX_BYTES } = this.#options;
    this.#entryCount += 1;
    if (this.#entryCount > maxEntries) {
      throw new HearthError('ENTRIES_TOO_MANY', `more than ${maxEntries} files`, {
        hint: 'Copy a directory further down.',
        details: { maxEntries },
      });
    }
    if (kind === 'file' && this.#contentBytes + sizeBytes > maxBytes) {
      throw new HearthError('CONTENT_TOO_LARGE', `more than ${maxBytes} bytes of content`, {
        hint: 'Copy a directory further down, or allow more: --max-bytes',
        details: { maxBytes, path: displayName(path) },
      });
    }
    if (only !== undefined && only !== '.' && path !== only && !path.startsWith(`${only}/`)) {
      throw refused(path, `is not below ${JSON.stringify(displayName(only))}, which was asked for`);
    }
    if (path.split('/').length > MAX_DEPTH) throw refused(path, `has more than ${MAX_DEPTH} directories`);
  }

  /** The directory of that path, which exists. From where the last entry was when it lies below that. */
  async #directory(path: string): Promise<OpenDirectory> {
    if (path === '') return this.#root;
    if (this.#here?.path === path) return this.#here.directory;
    const start = this.#here !== undefined && path.startsWith(`${this.#here.path}/`) ? this.#here : undefined;
    let directory = start?.directory ?? this.#root;
    const rest = start === undefined ? path : path.slice(start.path.length + 1);
    try {
      for (const name of rest.split('/')) {
        const next = await directory.descend(name);
        if (directory !== this.#root && directory !== this.#here?.directory) {
          await directory[Symbol.asyncDispose]();
        }
        directory = next;
      }
    } catch (error) {
      if (directory !== this.#root && directory !== this.#here?.directory) {
        await directory[Symbol.asyncDispose]();
      }
      throw error;
    }
    await this.#here?.directory[Symbol.asyncDispose]();
    this.#here = { path, directory };
    return directory;
  }

  async #put(
    parent: OpenDirectory,
    name: string,
    path: string,
    entry: TarEntry,
    content: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    switch (entry.kind) {
      case 'directory':
        await this.#putDirectory(parent, name, path, entry);
        break;
      case 'file':
        await this.#putFile(parent, name, path, entry, content);
        break;
      case 'symlink':
        await this.#putSymlink(parent, name, entry);
        this.#files.delete(path);
        break;
      case 'hardlink':
        await this.#putHardLink(name, path, entry);
        break;
      default:
        this.#skippedCount += 1;
        if (this.#skipped.length < MAX_SKIPPED_SHOWN) {
          this.#skipped.push({ path: displayName(path), kind: entry.kind });
        }
    }
  }

  async #putDirectory(parent: OpenDirectory, name: string, path: string, entry: TarEntry): Promise<void> {
    try {
      await mkdir(parent.at(name), { mode: 0o700 });
      this.#made.push({ path, entry });
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      await (await parent.descend(name))[Symbol.asyncDispose]();
    }
  }

  async #putFile(
    parent: OpenDirectory,
    name: string,
    path: string,
    entry: TarEntry,
    content: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const staging = stagingName();
    const file = await open(parent.at(staging), NEW_FILE, 0o600);
    try {
      try {
        await this.#fill(file, content);
        if (this.#ownsOwners) await file.chown(entry.uid, entry.gid);
        await file.chmod(this.#mode(entry));
        await file.utimes(...times(entry));
        const { dev, ino } = await file.stat();
        this.#files.set(path, { dev, ino });
      } finally {
        await file.close();
      }
      await replace(parent, staging, name);
    } catch (error) {
      await unlink(parent.at(staging)).catch(() => {});
      throw error;
    }
  }

  async #fill(file: FileHandle, content: AsyncIterable<Uint8Array>): Promise<void> {
    const { signal, onBytes } = this.#options;
    for await (const piece of content) {
      signal?.throwIfAborted();
      let done = 0;
      while (done < piece.byteLength) {
        done += (await file.write(piece, done, piece.byteLength - done)).bytesWritten;
      }
      this.#contentBytes += piece.byteLength;
      onBytes?.(this.#contentBytes);
    }
  }

  async #putSymlink(parent: OpenDirectory, name: string, entry: TarEntry): Promise<void> {
    const staging = stagingName();
    await symlink(Buffer.from(entry.linkTarget, 'latin1'), parent.at(staging));
    try {
      if (this.#ownsOwners) await lchown(parent.at(staging), entry.uid, entry.gid);
      await lutimes(parent.at(staging), ...times(entry));
      await replace(parent, staging, name);
    } catch (error) {
      await unlink(parent.at(staging)).catch(() => {});
      throw error;
    }
  }

  async #putHardLink(name: string, path: string, entry: TarEntry): Promise<void> {
    const targetPath = cleanTarPath(entry.linkTarget);
    const expected = this.#files.get(targetPath);
    if (expected === undefined) throw missingTarget(path, entry.linkTarget);
    if (targetPath === path) return;
    const slash = targetPath.lastIndexOf('/');
    const staging = stagingName();
    const from = await this.#directory(slash === -1 ? '' : targetPath.slice(0, slash));
    const old = from.at(targetPath.slice(slash + 1));
    const { dev, ino } = await lstat(old);
    if (dev !== expected.dev || ino !== expected.ino) throw missingTarget(path, entry.linkTarget);
    // Into the root first: there is one other directory open at a time.
    await link(old, this.#root.at(staging));
    try {
      const end = path.lastIndexOf('/');
      const parent = await this.#directory(end === -1 ? '' : path.slice(0, end));
      await replace(this.#root, staging, name, parent);
      this.#files.set(path, expected);
    } finally {
      // Renaming one name of a file over another of the same file does nothing, and leaves both.
      await unlink(this.#root.at(staging)).catch(() => {});
    }
  }

  get #ownsOwners(): boolean {
    return this.#options.keepOwners === true && process.getuid?.() === 0;
  }

  /** Set-id bits of a guest's files would be those of a user of this host. */
  #mode({ mode }: TarEntry): number {
    return this.#options.keepOwners === true ? mode : mode & 0o777;
  }
}

async function replace(
  from: OpenDirectory,
  staging: string,
  name: string,
  to: OpenDirectory = from,
): Promise<void> {
  try {
    await rename(from.at(staging), to.at(name));
  } catch (error) {
    if (errnoOf(error) === 'EISDIR') throw inTheWay(to.shown(name), 'is a directory', error);
    throw error;
  }
}

function times({ mtime }: TarEntry): [number, number] {
  const seconds = Math.min(Math.max(mtime.seconds + mtime.nanoseconds / 1e9, 0), MAX_MTIME_SECONDS);
  return [seconds, seconds];
}

function refused(path: string, what: string): HearthError {
  return new HearthError('PATH_ESCAPES_ROOT', `${JSON.stringify(displayName(path))} of the guest ${what}`, {
    hint: 'Do not trust that guest; nothing was written outside of the target.',
    details: { path: displayName(path) },
  });
}

function missingTarget(path: string, target: string): HearthError {
  return new HearthError(
    'HARDLINK_TARGET_MISSING',
    `${JSON.stringify(displayName(path))} of the guest is a hard link to ${JSON.stringify(displayName(target))}, which did not come before it`,
    {
      hint: 'Copy the directory that holds both.',
      details: { path: displayName(path), target: displayName(target) },
    },
  );
}
