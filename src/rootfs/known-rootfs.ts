/**
 * A memory of finished file systems: which image became which file. It holds no file system itself, so it costs
 * nothing and can never hold back space; a file counts only while it is, to the nanosecond of its last change, the
 * one that was written.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError } from '../errors/index.js';
import { type HearthPaths, readFileBounded, writeFileAtomic } from '../fsx/index.js';
import type { RootfsDigest } from './rootfs-digest.js';

/** A file as it was when it was finished. Nobody can set a ctime: whatever is done to the file changes it. */
export interface FileIdentity {
  readonly path: string;
  readonly inode: string;
  readonly sizeBytes: number;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
}

/** What a build said of its result, and where results lie. */
export interface KnownRootfs {
  readonly digest: RootfsDigest;
  readonly sizeBytes: number;
  readonly contentBytes: number;
  readonly entryCount: number;
  readonly uncompressedBytes: number;
  /** Newest first. */
  readonly files: readonly FileIdentity[];
}

const SCHEMA_VERSION = 1;
const MAX_RECORD_BYTES = 256 * 1024;
const MAX_FILES = 16;
const MAX_RECORDS = 512;

/** Where a user's builds are remembered. */
export function rootfsMemoryDirectory(paths: HearthPaths): string {
  return join(paths.cache, 'rootfs');
}

export class RootfsMemory {
  readonly directory: string;

  /** @param directory Made when something is remembered. */
  constructor(directory: string) {
    this.directory = directory;
  }

  /** What is known of a key; undefined when nothing is, or what is there cannot be read. */
  async find(key: string): Promise<KnownRootfs | undefined> {
    try {
      const text = (await readFileBounded(this.#path(key), MAX_RECORD_BYTES)).toString('utf8');
      return parseRecord(JSON.parse(text));
    } catch {
      // A memory that is damaged is a memory of nothing.
      return undefined;
    }
  }

  /** Adds a finished file. @throws {HearthError} `FILE_UNREADABLE`, `DISK_FULL`. */
  async remember(key: string, facts: Omit<KnownRootfs, 'files'>, file: FileIdentity): Promise<void> {
    const known = await this.find(key);
    // Files with another digest would be of another writer that called itself the same.
    const others = known?.digest === facts.digest ? known.files : [];
    const files = [file, ...others.filter(({ path }) => path !== file.path)].slice(0, MAX_FILES);
    const { digest, sizeBytes, contentBytes, entryCount, uncompressedBytes } = facts;
    const record = { digest, sizeBytes, contentBytes, entryCount, uncompressedBytes, files };
    try {
      await mkdir(this.directory, { recursive: true, mode: 0o700 });
      await writeFileAtomic(this.#path(key), JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...record }));
      await this.#forgetOldest();
    } catch (error) {
      throw fileError(error, this.directory);
    }
  }

  #path(key: string): string {
    return join(this.directory, `${createHash('sha256').update(key).digest('hex')}.json`);
  }

  async #forgetOldest(): Promise<void> {
    const names = await readdir(this.directory);
    if (names.length <= MAX_RECORDS) return;
    const aged = await Promise.all(
      names.map(async (name) => {
        const path = join(this.directory, name);
        return { path, mtimeMs: (await lstat(path).catch(() => undefined))?.mtimeMs ?? 0 };
      }),
    );
    aged.sort((a, b) => a.mtimeMs - b.mtimeMs);
    for (const { path } of aged.slice(0, names.length - MAX_RECORDS)) await rm(path, { force: true });
  }
}

/** A regular file as it is now; undefined when there is none. */
export async function identifyFile(path: string): Promise<FileIdentity | undefined> {
  try {
    const found = await lstat(path, { bigint: true });
    if (!found.isFile()) return undefined;
    return {
      path,
      inode: String(found.ino),
      sizeBytes: Number(found.size),
      mtimeNs: String(found.mtimeNs),
      ctimeNs: String(found.ctimeNs),
    };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw fileError(error, path);
  }
}

/** Whether both are one file in one state, under whatever name: directories may have been renamed meanwhile. */
export function isSameFile(one: FileIdentity, other: FileIdentity): boolean {
  return (
    one.inode === other.inode &&
    one.sizeBytes === other.sizeBytes &&
    one.mtimeNs === other.mtimeNs &&
    one.ctimeNs === other.ctimeNs
  );
}

function parseRecord(document: unknown): KnownRootfs | undefined {
  const record = document as Partial<Record<keyof KnownRootfs | 'schemaVersion', unknown>>;
  const { schemaVersion, digest, sizeBytes, contentBytes, entryCount, uncompressedBytes, files } = record;
  if (schemaVersion !== SCHEMA_VERSION || !Array.isArray(files) || !files.every(isIdentity)) return undefined;
  if (typeof digest !== 'string' || !/^ext4-sha256:[0-9a-f]{64}$/.test(digest)) return undefined;
  if (!isCount(sizeBytes) || !isCount(contentBytes) || !isCount(entryCount) || !isCount(uncompressedBytes)) {
    return undefined;
  }
  return { digest: digest as RootfsDigest, sizeBytes, contentBytes, entryCount, uncompressedBytes, files };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isIdentity(value: unknown): value is FileIdentity {
  const { path, inode, sizeBytes, mtimeNs, ctimeNs } = (value ?? {}) as Partial<
    Record<keyof FileIdentity, unknown>
  >;
  const texts = [path, inode, mtimeNs, ctimeNs];
  return texts.every((text) => typeof text === 'string') && isCount(sizeBytes);
}
