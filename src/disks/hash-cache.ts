/**
 * SHA-256 of templates, computed once.
 *
 * In this process a digest stands for (path, mtime), so that many clones of one template hash it once.
 * Between processes it stands for everything stat(2) knows of the file, ctime included, which no one can
 * set back; those digests live as small files in a directory of their own.
 */
import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '../bytes/index.js';
import { readFileBounded, writeFileAtomic } from '../fsx/index.js';
import { onDisk } from './disk-error.js';

const CHUNK_BYTES = 4 * MIB;
const MAX_ENTRY_BYTES = 16 * 1024;
/** Two changes of a file closer than this may carry one timestamp. */
const TIMESTAMP_MARGIN_MS = 2_000;

/**
 * The SHA-256 of a file's bytes, lower-case hex, read in pieces of 4 MiB.
 *
 * @throws {HearthError} `FILE_NOT_FOUND` or `FILE_UNREADABLE`; rejects with `signal.reason`.
 */
export async function hashFile(
  path: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<string> {
  return onDisk(path, async () => {
    const file = await open(path, 'r');
    try {
      const hash = createHash('sha256');
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        options.signal?.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES);
        if (bytesRead === 0) return hash.digest('hex');
        hash.update(buffer.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  });
}

interface CachedDigest {
  readonly mtimeNs: bigint;
  readonly sha256: Promise<string>;
}

export class HashCache {
  readonly #digests = new Map<string, CachedDigest>();
  readonly #directory: string;

  /** @param directory Where digests are kept for other processes; made when first needed. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The SHA-256 of `path` as it was at its present mtime. A failure is not remembered. */
  async sha256(path: string): Promise<string> {
    const stats = await onDisk(path, () => stat(path, { bigint: true }));
    const cached = this.#digests.get(path);
    if (cached?.mtimeNs === stats.mtimeNs) return cached.sha256;
    const sha256 = this.#sharedSha256(path, stats);
    const entry = { mtimeNs: stats.mtimeNs, sha256 };
    this.#digests.set(path, entry);
    try {
      return await sha256;
    } catch (error) {
      if (this.#digests.get(path) === entry) this.#digests.delete(path);
      throw error;
    }
  }

  async #sharedSha256(path: string, stats: BigIntStats): Promise<string> {
    const key = identity(path, stats);
    const name = createHash('sha256').update(path).digest('hex').slice(0, 32);
    const entry = join(this.#directory, name);
    const kept = await readFileBounded(entry, MAX_ENTRY_BYTES).catch(() => undefined);
    const [keptKey, keptSha256] = kept?.toString('utf8').split('\n') ?? [];
    if (keptKey === key && keptSha256 !== undefined && /^[0-9a-f]{64}$/.test(keptSha256)) return keptSha256;

    const sha256 = await hashFile(path);
    const after = await onDisk(path, () => stat(path, { bigint: true }));
    const settled = Math.abs(Date.now() - Number(stats.ctimeMs)) > TIMESTAMP_MARGIN_MS;
    if (settled && identity(path, after) === key) await this.#keep(entry, `${key}\n${sha256}\n`);
    return sha256;
  }

  async #keep(entry: string, text: string): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      await writeFileAtomic(entry, text);
    } catch {
      // A read-only or full directory costs the next process a second look at the template, nothing else.
    }
  }
}

function identity(path: string, stats: BigIntStats): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return JSON.stringify([path, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]);
}
