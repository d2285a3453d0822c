/**
 * Where the blocks of a file lie.
 * Source: Linux 6.12, Documentation/filesystems/ext4/ifork.rst, "Extent Tree".
 */
import type { BlockStore } from './block-store.js';
import { damaged, unsupported } from './problem.js';
import type { Ext4Inode } from './read-inode.js';

/** Blocks of a file that lie together; what no run covers, or one without `block`, reads as zeros. */
export interface BlockRun {
  readonly fileBlock: number;
  readonly count: number;
  /** Undefined: allocated, and never written. */
  readonly block: number | undefined;
}

const MAGIC = 0xf30a;
const MAX_DEPTH = 5;
const MAX_WRITTEN = 32_768;
const HEADER_BYTES = 12;
const RECORD_BYTES = 12;
/** Nodes of one tree: a file of this many blocks of extents would have more than 300 million. */
const MAX_NODES = 1_000_000;

/** In order, without overlaps. @throws {HearthError} `FILE_SYSTEM_INVALID`, `FILE_SYSTEM_UNSUPPORTED`. */
export async function* blockRuns(inode: Ext4Inode, blocks: BlockStore): AsyncGenerator<BlockRun> {
  if (!inode.usesExtents) {
    if (inode.map.every((byte) => byte === 0)) return;
    throw unsupported('block maps instead of extents', { inode: inode.number });
  }
  const state = { next: 0, nodes: 0 };
  yield* node(inode.map, undefined, inode, blocks, state);
}

async function* node(
  bytes: Buffer,
  expectedDepth: number | undefined,
  inode: Ext4Inode,
  blocks: BlockStore,
  state: { next: number; nodes: number },
): AsyncGenerator<BlockRun> {
  state.nodes += 1;
  const count = bytes.readUInt16LE(2);
  const depth = bytes.readUInt16LE(6);
  const isWrong =
    bytes.readUInt16LE(0) !== MAGIC ||
    HEADER_BYTES + count * RECORD_BYTES > bytes.byteLength ||
    depth > MAX_DEPTH ||
    (expectedDepth !== undefined && depth !== expectedDepth) ||
    state.nodes > MAX_NODES;
  if (isWrong) throw damaged(`the extents of inode ${inode.number}`, { inode: inode.number });
  for (let at = HEADER_BYTES; at < HEADER_BYTES + count * RECORD_BYTES; at += RECORD_BYTES) {
    const fileBlock = bytes.readUInt32LE(at);
    if (depth > 0) {
      const child = bytes.readUInt32LE(at + 4) + bytes.readUInt16LE(at + 8) * 2 ** 32;
      yield* node(await blocks.block(child), depth - 1, inode, blocks, state);
      continue;
    }
    const length = bytes.readUInt16LE(at + 4);
    const isWritten = length <= MAX_WRITTEN;
    const runCount = isWritten ? length : length - MAX_WRITTEN;
    const block = bytes.readUInt32LE(at + 8) + bytes.readUInt16LE(at + 6) * 2 ** 32;
    if (fileBlock < state.next || runCount === 0) {
      throw damaged(`the extents of inode ${inode.number} overlap`, { inode: inode.number });
    }
    blocks.check(block, runCount);
    state.next = fileBlock + runCount;
    yield { fileBlock, count: runCount, block: isWritten ? block : undefined };
  }
}
