/** Garbage collection of a blob store: mark what names and caller keep, remove the rest. */
import type { Dirent } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { acquireLock } from '../fsx/index.js';
import { type Descriptor, type Digest, isDigest, MAX_MANIFEST_BYTES, parseDocument } from '../oci/index.js';
import { readBlobFile } from './blob-file.js';
import { blobPath, type LayoutPaths } from './layout.js';
import { changeRefs, readOwnIndex, refName } from './refs.js';

export interface CollectOptions {
  /** Manifests or indexes that stay, with all they refer to. */
  readonly keep?: readonly Digest[];
  /** Whether a name keeps its image (default), or names of images not in `keep` go with them. */
  readonly refs?: 'keep' | 'drop';
  /** Blobs written less than this many ms ago stay. Default 0. */
  readonly olderThanMs?: number;
  /** How long to wait for users of the store to finish. Default 5 s. */
  readonly timeoutMs?: number;
}

export interface Collected {
  readonly removedCount: number;
  readonly removedBytes: number;
  readonly droppedRefs: readonly string[];
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** An interrupted download that nobody resumed for this long is given up. */
const STALE_PART_MS = 24 * 60 * 60 * 1000;
/** Lock files stay until there are so many, since removing them needs the store alone. */
const MAX_LOCK_FILES = 256;
const MAX_INDEX_DEPTH = 8;

export async function collect(paths: LayoutPaths, options: CollectOptions): Promise<Collected> {
  const lock = await acquireLock(paths.leaseLock, { timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS });
  try {
    const keep = new Set<Digest>(options.keep ?? []);
    const entries = await readOwnIndex(paths.index);
    const stays: Descriptor[] = [];
    const droppedRefs: string[] = [];
    for (const entry of entries) {
      if (options.refs !== 'drop' || (await leadsTo(paths, entry.digest, keep))) stays.push(entry);
      else droppedRefs.push(refName(entry) ?? entry.digest);
    }
    // Names first: a collector killed here leaves blobs without a name, never a name without its blobs.
    if (droppedRefs.length > 0) await changeRefs(paths, () => stays);
    const marked = new Set<Digest>();
    for (const digest of [...keep, ...stays.map((entry) => entry.digest)])
      await mark(paths, digest, marked, 0);
    const removed = await sweepBlobs(paths, marked, options.olderThanMs ?? 0);
    for (const name of await readdir(paths.ingest)) {
      await rm(join(paths.ingest, name), { recursive: true, force: true });
    }
    return { ...removed, droppedRefs };
  } finally {
    await lock.release();
  }
}

/** What a document refers to, as far as it is in the store; nothing for a blob that is no document. */
async function children(paths: LayoutPaths, digest: Digest): Promise<readonly Descriptor[]> {
  const bytes = await readBlobFile(blobPath(paths.root, digest), MAX_MANIFEST_BYTES);
  if (bytes === undefined) return [];
  try {
    const document = parseDocument(bytes);
    return document.kind === 'index'
      ? document.index.manifests
      : [document.manifest.config, ...document.manifest.layers];
  } catch (error) {
    if (HearthError.is(error)) return [];
    throw error;
  }
}

async function leadsTo(paths: LayoutPaths, digest: Digest, keep: ReadonlySet<Digest>): Promise<boolean> {
  const reached = new Set<Digest>();
  await mark(paths, digest, reached, 0);
  return [...reached].some((found) => keep.has(found));
}

async function mark(paths: LayoutPaths, digest: Digest, marked: Set<Digest>, depth: number): Promise<void> {
  if (marked.has(digest) || depth > MAX_INDEX_DEPTH) return;
  marked.add(digest);
  for (const child of await children(paths, digest)) await mark(paths, child.digest, marked, depth + 1);
}

async function sweepBlobs(
  paths: LayoutPaths,
  marked: ReadonlySet<Digest>,
  olderThanMs: number,
): Promise<{ removedCount: number; removedBytes: number }> {
  let removedCount = 0;
  let removedBytes = 0;
  for (const algorithm of ['sha256', 'sha512']) {
    for (const name of await readdir(join(paths.blobs, algorithm))) {
      const digest = `${algorithm}:${name}`;
      const path = join(paths.blobs, algorithm, name);
      const found = await lstat(path);
      if (isDigest(digest) && (marked.has(digest) || Date.now() - found.mtimeMs < olderThanMs)) continue;
      await rm(path, { recursive: true, force: true });
      removedCount += 1;
      removedBytes += found.isFile() ? found.size : 0;
    }
  }
  return { removedCount, removedBytes };
}

/**
 * Removes what dead writers left in `ingest/`: temporary files at once, parts that nobody came back for after
 * a day. Does nothing while another process uses the store.
 */
export async function sweepIngest(paths: LayoutPaths): Promise<void> {
  let entries: Dirent[];
  try {
    entries = await readdir(paths.ingest, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const stale: string[] = [];
  for (const { name } of entries) {
    if (name.endsWith('.tmp') || (name.endsWith('.part') && (await isStale(join(paths.ingest, name))))) {
      stale.push(name);
    }
  }
  const locks = entries.filter(({ name }) => name.endsWith('.lock')).map(({ name }) => name);
  if (stale.length === 0 && locks.length <= MAX_LOCK_FILES) return;
  try {
    const lock = await acquireLock(paths.leaseLock, { timeoutMs: 0 });
    try {
      for (const name of [...stale, ...locks]) {
        await rm(join(paths.ingest, name), { recursive: true, force: true });
      }
    } finally {
      await lock.release();
    }
  } catch (error) {
    // Somebody is at work; the next one to finish sweeps.
    if (!HearthError.is(error) || (error.code !== 'STORE_LOCKED' && error.code !== 'FILE_UNREADABLE'))
      throw error;
  }
}

async function isStale(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await lstat(path);
    // A clock that jumped either way costs at most a resume: in-use parts are protected by the lease.
    return Math.abs(Date.now() - mtimeMs) > STALE_PART_MS;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
