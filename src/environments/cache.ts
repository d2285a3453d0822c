/** What hearth keeps on this machine, why, and how to get rid of what can be had again. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openBlobStore } from '../blobs/index.js';
import { errnoOf, HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { type Digest, isDigest, parseDocument } from '../oci/index.js';
import { rootfsMemoryDirectory } from '../rootfs/index.js';
import { listOf, mapOf, objectOf, text } from '../shape/index.js';
import type { StoreContext } from './context.js';
import { blobsDirectory } from './default-parts.js';
import { measureTree, type TreeSize } from './disk-usage.js';
import { findInstalls, manifestOf } from './installs.js';
import type { SavedVm } from './kept-vms.js';
import { sweepStagings } from './sweep.js';

export type CacheKind =
  | 'blobs'
  | 'initrds'
  | 'rootfs'
  | 'environments'
  | 'kernels'
  | 'snapshots'
  | 'sandboxes'
  | 'staging';

export interface CacheItem extends TreeSize {
  readonly kind: CacheKind;
  readonly name: string;
  readonly path: string;
  /** Why it is there, for people. */
  readonly why: string;
  /** True when `cache prune` may remove it. */
  readonly isRemovable: boolean;
}

export interface CacheUsage {
  readonly items: readonly CacheItem[];
  /** Sums by kind, every kind named. */
  readonly kinds: Readonly<Record<CacheKind, TreeSize & { readonly count: number }>>;
  readonly total: TreeSize;
}

export async function cacheUsage(paths: HearthPaths, context: StoreContext): Promise<CacheUsage> {
  const items: CacheItem[] = [];
  const add = async (
    kind: CacheKind,
    name: string,
    path: string,
    why: string,
    isRemovable: boolean,
  ): Promise<void> => {
    const size = await measureTree(path);
    if (size.apparentBytes > 0 || size.allocatedBytes > 0)
      items.push({ kind, name, path, why, isRemovable, ...size });
  };
  const blobs = blobsDirectory(paths);
  await add('blobs', 'blobs', blobs, 'downloaded layers; saves fetching what images share', true);
  await add(
    'initrds',
    'initrds',
    join(paths.cache, 'initrds'),
    'packed for kernels; made again when needed',
    true,
  );
  const memory = rootfsMemoryDirectory(paths);
  await add('rootfs', 'rootfs', memory, 'where built file systems lie; saves building them again', true);
  for (const install of await findInstalls(context.layout)) {
    const manifest = manifestOf(install);
    const name = manifest === undefined ? install.entry : `${manifest.name} ${manifest.version}`;
    const users = await context.isInUse(install.directory);
    const why =
      users.length > 0
        ? `used by ${users.join(', ')}`
        : install.check.state === 'valid'
          ? 'installed; remove it with `hearth env rm`'
          : 'damaged; `hearth env prune` removes it';
    await add('environments', name, install.directory, why, false);
  }
  for (const { path } of await context.layout.stagings()) {
    await add(
      'staging',
      path.slice(path.lastIndexOf('/') + 1),
      path,
      'being made, or left by a killed command',
      true,
    );
  }
  for (const name of await namesIn(join(paths.data, 'kernels'))) {
    const why = 'installed; remove it with `hearth kernel rm`';
    await add('kernels', name, join(paths.data, 'kernels', name), why, false);
  }
  for (const { name, path, why, isRemovable } of await savedVmsOf(paths, context)) {
    await add('snapshots', name, path, why, isRemovable);
  }
  for (const name of await namesIn(join(paths.state, 'sandboxes'))) {
    const why = 'a sandbox; remove it with `hearth rm`';
    await add('sandboxes', name, join(paths.state, 'sandboxes', name), why, false);
  }
  return { items, kinds: sumByKind(items), total: sum(items) };
}

async function savedVmsOf(paths: HearthPaths, { savedVms }: StoreContext): Promise<readonly SavedVm[]> {
  if (savedVms !== undefined) return await savedVms.list();
  const directory = join(paths.data, 'snapshots');
  const names = await namesIn(directory);
  return names.map((name) => ({ name, path: join(directory, name), why: 'a saved VM', isRemovable: false }));
}

function sum(items: readonly TreeSize[]): TreeSize {
  return {
    apparentBytes: items.reduce((total, { apparentBytes }) => total + apparentBytes, 0),
    allocatedBytes: items.reduce((total, { allocatedBytes }) => total + allocatedBytes, 0),
  };
}

function sumByKind(items: readonly CacheItem[]): CacheUsage['kinds'] {
  const of = (kind: CacheKind): TreeSize & { count: number } => {
    const mine = items.filter((item) => item.kind === kind);
    return { ...sum(mine), count: mine.length };
  };
  return {
    blobs: of('blobs'),
    initrds: of('initrds'),
    rootfs: of('rootfs'),
    environments: of('environments'),
    kernels: of('kernels'),
    snapshots: of('snapshots'),
    sandboxes: of('sandboxes'),
    staging: of('staging'),
  };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export interface CachePruneOptions {
  /** Only what has not been written, and saved VMs not used, for this many ms. Default 0: everything that can be had again. */
  readonly olderThanMs?: number;
  /** Keeps the newest blobs, and the saved VMs used last, up to this many bytes each. */
  readonly maxBytes?: number;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

export interface CachePruneResult {
  readonly dryRun: boolean;
  readonly freedBytes: number;
  readonly blobsRemoved: number;
  readonly stagingRemoved: number;
  readonly initrdsRemoved: number;
  /** Memories of where built file systems lie; the file systems themselves are their owner's. */
  readonly rootfsRecordsRemoved: number;
  /** Boot snapshots; the next start of their environment makes a new one. */
  readonly snapshotsRemoved: number;
  /** Images whose name can no longer be resolved offline. */
  readonly forgottenReferences: readonly string[];
}

interface StoredBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly ageMs: number;
}

/**
 * Removes downloaded blobs, packed initrds, boot snapshots and what killed commands left. Installed environments need none of
 * it. Blobs of an image that is new enough to stay are kept together.
 *
 * @throws {HearthError} `STORE_LOCKED` while something is being pulled; nothing in use is removed.
 */
export async function pruneCache(
  paths: HearthPaths,
  options: CachePruneOptions,
  context: StoreContext,
): Promise<CachePruneResult> {
  const dryRun = options.dryRun === true;
  const blobs = await pruneBlobs(blobsDirectory(paths), options);
  options.signal?.throwIfAborted();
  const initrds = await pruneFiles(context.installer.initrdCacheDirectory, options);
  const records = await pruneFiles(rootfsMemoryDirectory(paths), options);
  const stagings = await sweepStagings(context.layout, { dryRun });
  const { olderThanMs, maxBytes } = options;
  const snapshots = await context.savedVms?.prune({
    dryRun,
    ...(olderThanMs === undefined ? {} : { olderThanMs }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  const stagingBytes = stagings.reduce((total, { bytes }) => total + bytes, 0);
  return {
    dryRun,
    freedBytes: blobs.bytes + initrds.bytes + records.bytes + stagingBytes + (snapshots?.bytes ?? 0),
    blobsRemoved: blobs.count,
    stagingRemoved: stagings.length,
    initrdsRemoved: initrds.count,
    rootfsRecordsRemoved: records.count,
    snapshotsRemoved: snapshots?.names.length ?? 0,
    forgottenReferences: blobs.forgotten,
  };
}

async function pruneBlobs(
  directory: string,
  options: CachePruneOptions,
): Promise<{ count: number; bytes: number; forgotten: readonly string[] }> {
  const blobs = await listBlobs(directory);
  if (blobs.length === 0) return { count: 0, bytes: 0, forgotten: [] };
  const olderThanMs = ageLimit(blobs, options);
  const isYoung = (digest: string): boolean =>
    blobs.some((blob) => blob.digest === digest && blob.ageMs < olderThanMs);
  const roots = await readRoots(directory);
  const keep = roots.map((root) => root.digest).filter((digest) => isDigest(digest) && isYoung(digest));
  if (options.dryRun === true) {
    const reached = await reachable(directory, keep);
    const gone = blobs.filter((blob) => blob.ageMs >= olderThanMs && !reached.has(blob.digest));
    const kept = new Set<string>(keep);
    return {
      count: gone.length,
      bytes: gone.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
      forgotten: roots.filter(({ digest }) => !kept.has(digest)).map(({ name }) => name),
    };
  }
  const store = await openBlobStore(directory);
  const collected = await store.gc({ keep: keep.filter(isDigest), refs: 'drop', olderThanMs });
  return { count: collected.removedCount, bytes: collected.removedBytes, forgotten: collected.droppedRefs };
}

/** The age from which on blobs go: what is asked for, or younger when that would still be too much. */
function ageLimit(blobs: readonly StoredBlob[], options: CachePruneOptions): number {
  const asked = options.olderThanMs ?? (options.maxBytes === undefined ? 0 : Number.MAX_SAFE_INTEGER);
  if (options.maxBytes === undefined) return asked;
  let total = 0;
  for (const blob of [...blobs].sort((a, b) => a.ageMs - b.ageMs)) {
    total += blob.sizeBytes;
    if (total > options.maxBytes) return Math.min(asked, blob.ageMs);
  }
  return asked;
}

async function listBlobs(directory: string): Promise<StoredBlob[]> {
  const blobs: StoredBlob[] = [];
  for (const algorithm of await namesIn(join(directory, 'blobs'))) {
    for (const name of await namesIn(join(directory, 'blobs', algorithm))) {
      const digest = `${algorithm}:${name}`;
      if (!isDigest(digest)) continue;
      try {
        const found = await stat(join(directory, 'blobs', algorithm, name));
        blobs.push({ digest, sizeBytes: found.size, ageMs: Math.max(0, Date.now() - found.mtimeMs) });
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
  }
  return blobs;
}

const indexSchema = objectOf({
  manifests: listOf(objectOf({ digest: text(), annotations: mapOf(text()).optional() })),
});

/** What the layout's index names. */
async function readRoots(directory: string): Promise<{ digest: string; name: string }[]> {
  try {
    const index = indexSchema.read(JSON.parse(await readFile(join(directory, 'index.json'), 'utf8')));
    if (!index.ok) return [];
    return index.value.manifests.map(({ digest, annotations }) => ({
      digest,
      name: annotations?.['org.opencontainers.image.ref.name'] ?? digest,
    }));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return [];
    throw error;
  }
}

/** The blobs that these documents lead to. */
async function reachable(directory: string, roots: readonly string[]): Promise<Set<string>> {
  const reached = new Set<string>();
  const queue = [...roots];
  for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
    if (reached.has(digest) || !isDigest(digest)) continue;
    reached.add(digest);
    const [algorithm = '', hex = ''] = digest.split(':');
    try {
      const document = parseDocument(await readFile(join(directory, 'blobs', algorithm, hex)));
      const children =
        document.kind === 'index'
          ? document.index.manifests
          : [document.manifest.config, ...document.manifest.layers];
      queue.push(...children.map((child) => child.digest));
    } catch (error) {
      // A layer or config is no document, and a damaged document leads nowhere.
      if (!HearthError.is(error) && errnoOf(error) === undefined) throw error;
    }
  }
  return reached;
}

/** Files that are made again when they are needed. */
async function pruneFiles(
  directory: string,
  options: CachePruneOptions,
): Promise<{ count: number; bytes: number }> {
  let count = 0;
  let bytes = 0;
  for (const name of await namesIn(directory)) {
    const path = join(directory, name);
    const found = await stat(path);
    if (!found.isFile() || Date.now() - found.mtimeMs < (options.olderThanMs ?? 0)) continue;
    if (options.dryRun !== true) await rm(path, { force: true });
    count += 1;
    bytes += found.size;
  }
  return { count, bytes };
}
