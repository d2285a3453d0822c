/**
 * Indexed directories: entries in leaf blocks by the hash of their name, found through one or two levels of
 * index blocks. Readers without dir_index see an ordinary directory.
 * Source: Linux 6.12, Documentation/filesystems/ext4/directory.rst, "Hash Tree Directories".
 */
import { updateCrc32c } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import { sumUint32 } from './checksum.js';
import { ENTRY_SPACE_BYTES, EntryWriter, entryBytes } from './directory.js';
import { hashName } from './directory-hash.js';
import { BLOCK_BYTES, ENTRY_TYPE } from './format.js';
import type { BlockStage } from './image-file.js';

/** Number of the hash in superblock and index roots. */
export const HALF_MD4 = 1;
/** Leaves keep an eighth free, so that the first names added in the guest do not split every block. */
const LEAF_FILL_BYTES = ENTRY_SPACE_BYTES - BLOCK_BYTES / 8;
const INDEX_TAIL_BYTES = 8;
const INDEX_ENTRY_BYTES = 8;
/** Index entries start after `.`, `..` and the root's header, or after one empty entry. */
const ROOT_HEADER_BYTES = 32;
const NODE_HEADER_BYTES = 8;
const ROOT_INFO_OFFSET = 24;
const ROOT_INFO_BYTES = 8;
const ROOT_LIMIT = (BLOCK_BYTES - ROOT_HEADER_BYTES - INDEX_TAIL_BYTES) / INDEX_ENTRY_BYTES;
const NODE_LIMIT = (BLOCK_BYTES - NODE_HEADER_BYTES - INDEX_TAIL_BYTES) / INDEX_ENTRY_BYTES;
/** Set in the hash of a leaf whose first names hash like the last of the leaf before. */
const CONTINUED = 1;
/** Entries that a 53-bit integer can number beside a 31-bit hash. */
const MAX_ENTRIES = 2 ** 22;

export interface HashTree {
  /** Indexes of the directory's names, by hash. */
  readonly order: Uint32Array;
  /** By leaf: where in `order` it starts; one more at the end. */
  readonly leafStarts: readonly number[];
  /** By leaf: its lowest hash, with {@link CONTINUED}. */
  readonly leafHashes: readonly number[];
  /** Index blocks between root and leaves; 0 when the root names the leaves. */
  readonly nodeCount: number;
  readonly blockCount: number;
}

/**
 * Distributes the names of a directory over leaves.
 *
 * @throws {HearthError} `ENTRIES_TOO_MANY` when two levels of index cannot hold them.
 */
export function planHashTree(names: readonly string[], hashState: Int32Array, path: () => string): HashTree {
  if (names.length > MAX_ENTRIES) throw tooMany(names.length, path());
  const keys = new Float64Array(names.length);
  for (let i = 0; i < names.length; i++) {
    keys[i] = (hashName(hashState, names[i] ?? '') / 2) * MAX_ENTRIES + i;
  }
  keys.sort();

  const order = new Uint32Array(names.length);
  const leafStarts: number[] = [];
  const leafHashes: number[] = [];
  let leafBytes = Number.POSITIVE_INFINITY;
  let hashBefore = -1;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] ?? 0;
    const index = key % MAX_ENTRIES;
    const hash = Math.floor(key / MAX_ENTRIES) * 2;
    const bytes = entryBytes(names[index]?.length ?? 0);
    if (leafBytes + bytes > LEAF_FILL_BYTES) {
      leafStarts.push(i);
      leafHashes.push(hash === hashBefore ? hash + CONTINUED : hash);
      leafBytes = 0;
    }
    order[i] = index;
    leafBytes += bytes;
    hashBefore = hash;
  }
  leafStarts.push(names.length);

  const nodeCount = leafHashes.length > ROOT_LIMIT ? Math.ceil(leafHashes.length / NODE_LIMIT) : 0;
  if (nodeCount > ROOT_LIMIT) throw tooMany(names.length, path());
  return { order, leafStarts, leafHashes, nodeCount, blockCount: 1 + nodeCount + leafHashes.length };
}

function tooMany(entryCount: number, path: string): HearthError {
  return new HearthError(
    'ENTRIES_TOO_MANY',
    `${path} has ${entryCount} entries, more than an index can hold`,
    {
      hint: 'Rebuild the image with fewer files in that directory.',
      details: { path, entryCount },
    },
  );
}

export interface HashTreeTarget {
  readonly stage: BlockStage;
  /** The image's block for each block of the directory, asked in ascending order, once each. */
  readonly nextBlock: () => number;
  readonly seed: number;
  readonly inode: number;
  readonly parentInode: number;
  /** Adds entry `index` of the directory. */
  readonly addEntry: (writer: EntryWriter, index: number) => void;
}

/** Writes all blocks of an indexed directory: root, index nodes, leaves. */
export function writeHashTree(tree: HashTree, target: HashTreeTarget): void {
  const { stage, seed } = target;
  const { leafHashes, leafStarts, nodeCount } = tree;
  const firstLeaf = 1 + nodeCount;

  const root = stage.claim(target.nextBlock());
  const dots = new EntryWriter(stage, root);
  dots.add(target.inode, ENTRY_TYPE.directory, '.');
  dots.add(target.parentInode, ENTRY_TYPE.directory, '..');
  stage.view.setUint16(root + 12 + 4, BLOCK_BYTES - 12, true);
  stage.bytes[root + ROOT_INFO_OFFSET + 4] = HALF_MD4;
  stage.bytes[root + ROOT_INFO_OFFSET + 5] = ROOT_INFO_BYTES;
  stage.bytes[root + ROOT_INFO_OFFSET + 6] = nodeCount === 0 ? 0 : 1;
  const rootEntry = (i: number): readonly [hash: number, block: number] =>
    nodeCount === 0 ? [leafHashes[i] ?? 0, firstLeaf + i] : [leafHashes[i * NODE_LIMIT] ?? 0, 1 + i];
  const rootCount = nodeCount === 0 ? leafHashes.length : nodeCount;
  writeIndex(
    stage,
    seed,
    root,
    { header: ROOT_HEADER_BYTES, limit: ROOT_LIMIT, count: rootCount },
    rootEntry,
  );

  for (let node = 0; node < nodeCount; node++) {
    const block = stage.claim(target.nextBlock());
    stage.view.setUint16(block + 4, BLOCK_BYTES, true);
    const first = node * NODE_LIMIT;
    const count = Math.min(NODE_LIMIT, leafHashes.length - first);
    writeIndex(stage, seed, block, { header: NODE_HEADER_BYTES, limit: NODE_LIMIT, count }, (i) => [
      leafHashes[first + i] ?? 0,
      firstLeaf + first + i,
    ]);
  }

  for (let leaf = 0; leaf < leafHashes.length; leaf++) {
    const writer = new EntryWriter(stage, stage.claim(target.nextBlock()));
    const end = leafStarts[leaf + 1] ?? 0;
    for (let i = leafStarts[leaf] ?? 0; i < end; i++) target.addEntry(writer, tree.order[i] ?? 0);
    writer.finish(seed);
  }
}

function writeIndex(
  stage: BlockStage,
  seed: number,
  block: number,
  { header, limit, count }: { header: number; limit: number; count: number },
  entry: (i: number) => readonly [hash: number, block: number],
): void {
  const { view, bytes } = stage;
  const start = block + header;
  for (let i = 0; i < count; i++) {
    const [hash, child] = entry(i);
    view.setUint32(start + i * INDEX_ENTRY_BYTES, hash, true);
    view.setUint32(start + i * INDEX_ENTRY_BYTES + 4, child, true);
  }
  // The first entry's hash is always 0; its place holds the limit and the count.
  view.setUint16(start, limit, true);
  view.setUint16(start + 2, count, true);
  const tail = start + limit * INDEX_ENTRY_BYTES;
  const used = updateCrc32c(seed, bytes, block, start + count * INDEX_ENTRY_BYTES);
  view.setUint32(tail + 4, sumUint32(updateCrc32c(used, bytes, tail, tail + 4), 0), true);
}
