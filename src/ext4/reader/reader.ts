/**
 * An ext4 file system, read from its disk without mounting it. Nothing is written, and nothing that the disk says
 * is believed: every count is bounded, and what leads in circles is found out.
 */
import { BlockStore, type Ext4Source } from './block-store.js';
import { damaged } from './problem.js';
import { directoryEntries } from './read-directory.js';
import { type BlockRun, blockRuns } from './read-extents.js';
import { type Ext4Inode, readInode } from './read-inode.js';
import {
  descriptorBlock,
  readSuperblock,
  SUPERBLOCK_AT,
  SUPERBLOCK_BYTES,
  type Superblock,
} from './read-superblock.js';
import { readBlockXattrs, readInodeXattrs } from './read-xattrs.js';
import { replayJournal } from './replay-journal.js';

const ROOT_INODE = 2;
const PIECE_BYTES = 256 * 1024;
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;
const MAX_JOURNAL_RUNS = 100_000;
const MAX_SYMLINK_BYTES = 4096;
const INLINE_SYMLINK_BYTES = 60;

export class Ext4Reader {
  readonly #blocks: BlockStore;
  readonly #superblock: Superblock;

  private constructor(blocks: BlockStore, superblock: Superblock) {
    this.#blocks = blocks;
    this.#superblock = superblock;
  }

  /**
   * Opens the file system that fills a disk. One that was not unmounted is seen as it would be after its journal
   * had been replayed.
   *
   * @throws {HearthError} `FILE_SYSTEM_INVALID`, `FILE_SYSTEM_UNSUPPORTED`; what `source` throws.
   */
  static async open(source: Ext4Source): Promise<Ext4Reader> {
    const superblock = await superblockOf(source);
    const blocks = new BlockStore(source, superblock);
    const reader = new Ext4Reader(blocks, superblock);
    if (!superblock.needsRecovery || superblock.journalInode === 0) return reader;
    const runs: BlockRun[] = [];
    for await (const run of blockRuns(await reader.inode(superblock.journalInode), blocks)) {
      runs.push(run);
      if (runs.length > MAX_JOURNAL_RUNS) throw damaged('its journal is in too many pieces');
    }
    const newest = await replayJournal(runs, blocks);
    blocks.replay(newest);
    const first = Math.floor(SUPERBLOCK_AT / superblock.blockBytes);
    const bytes = await blocks.block(first);
    const at = SUPERBLOCK_AT % superblock.blockBytes;
    const replayed = readSuperblock(bytes.subarray(at, at + SUPERBLOCK_BYTES), source.sizeBytes);
    if (replayed.blockBytes !== superblock.blockBytes || replayed.inodeBytes !== superblock.inodeBytes) {
      throw damaged('its journal has another file system');
    }
    const grown = new BlockStore(source, replayed);
    grown.replay(newest);
    return new Ext4Reader(grown, replayed);
  }

  get blockBytes(): number {
    return this.#superblock.blockBytes;
  }

  async root(): Promise<Ext4Inode> {
    const root = await this.inode(ROOT_INODE);
    if (root.kind !== 'directory') throw damaged('its root is not a directory');
    return root;
  }

  /** @throws {HearthError} `FILE_SYSTEM_INVALID` when there is no file of that number. */
  async inode(number: number): Promise<Ext4Inode> {
    const { inodesPerGroup, inodeCount, inodeBytes, blockBytes, descriptorBytes } = this.#superblock;
    if (number < 1 || number > inodeCount) throw damaged(`there is no inode ${number}`, { inode: number });
    const group = Math.floor((number - 1) / inodesPerGroup);
    const perBlock = blockBytes / descriptorBytes;
    const descriptors = await this.#blocks.block(
      descriptorBlock(this.#superblock, Math.floor(group / perBlock)),
    );
    const at = (group % perBlock) * descriptorBytes;
    const table =
      descriptors.readUInt32LE(at + 8) +
      (descriptorBytes >= 64 ? descriptors.readUInt32LE(at + 40) * 2 ** 32 : 0);
    const offset = ((number - 1) % inodesPerGroup) * inodeBytes;
    const block = await this.#blocks.block(table + Math.floor(offset / blockBytes));
    const start = offset % blockBytes;
    return readInode(block.subarray(start, start + inodeBytes), number);
  }

  /** Names and inode numbers in a directory, in no order. */
  async *entries(directory: Ext4Inode): AsyncGenerator<{ readonly name: string; readonly inode: number }> {
    const { sizeBytes, number } = directory;
    if (sizeBytes > MAX_DIRECTORY_BYTES || sizeBytes % this.blockBytes !== 0) {
      throw damaged(`a directory of ${sizeBytes} bytes`, { inode: number });
    }
    const blockCount = sizeBytes / this.blockBytes;
    for await (const { fileBlock, count, block } of blockRuns(directory, this.#blocks)) {
      if (block === undefined) throw damaged('a directory with a hole', { inode: number });
      for (let at = 0; at < count && fileBlock + at < blockCount; at += 1) {
        yield* directoryEntries(await this.#blocks.block(block + at), number);
      }
    }
  }

  /** What a symbolic link points to, latin1. */
  async target(link: Ext4Inode): Promise<string> {
    const { sizeBytes, map, usesExtents, number } = link;
    if (sizeBytes === 0 || sizeBytes >= MAX_SYMLINK_BYTES) {
      throw damaged(`a link of ${sizeBytes} bytes`, { inode: number });
    }
    let bytes = map.subarray(0, sizeBytes);
    if (usesExtents || sizeBytes >= INLINE_SYMLINK_BYTES) {
      const pieces: Buffer[] = [];
      for await (const piece of this.content(link)) pieces.push(piece);
      bytes = Buffer.concat(pieces);
    }
    if (bytes.includes(0)) throw damaged('a link with a NUL', { inode: number });
    return bytes.toString('latin1');
  }

  /** The bytes of a file, holes as zeros: `sizeBytes` of them, in pieces. */
  async *content(file: Ext4Inode, range: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Buffer> {
    let position = 0;
    for await (const run of this.runs(file)) {
      yield* zeros(run.position - position, range.signal);
      position = run.position;
      while (position < run.position + run.bytes) {
        range.signal?.throwIfAborted();
        const wanted = Math.min(PIECE_BYTES, run.position + run.bytes - position);
        const piece = Buffer.allocUnsafe(Math.ceil(wanted / this.blockBytes) * this.blockBytes);
        await this.#blocks.read(piece, run.block + (position - run.position) / this.blockBytes);
        position += wanted;
        yield piece.subarray(0, wanted);
      }
    }
    yield* zeros(file.sizeBytes - position, range.signal);
  }

  /** Where the written bytes of a file lie, within its size. */
  async *runs(
    file: Ext4Inode,
  ): AsyncGenerator<{ readonly position: number; readonly bytes: number; readonly block: number }> {
    for await (const { fileBlock, count, block } of blockRuns(file, this.#blocks)) {
      const position = fileBlock * this.blockBytes;
      const bytes = Math.min(count * this.blockBytes, file.sizeBytes - position);
      if (bytes <= 0) return;
      if (block !== undefined) yield { position, bytes, block };
    }
  }

  /** Whether the journal has newer content for one of these blocks. */
  isReplayed(block: number, count: number): boolean {
    return this.#blocks.isReplayed(block, count);
  }

  /** Full names (latin1) to values; empty when there are none. */
  async xattrs(inode: Ext4Inode): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    readInodeXattrs(inode.extra, inode.number, found);
    if (inode.xattrBlock !== 0) {
      readBlockXattrs(await this.#blocks.block(inode.xattrBlock), inode.number, found);
    }
    return found;
  }
}

async function superblockOf(source: Ext4Source): Promise<Superblock> {
  if (source.sizeBytes < SUPERBLOCK_AT + SUPERBLOCK_BYTES) throw damaged('there is no room for a superblock');
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  await source.read(bytes, SUPERBLOCK_AT);
  return readSuperblock(bytes, source.sizeBytes);
}

const ZEROS = Buffer.alloc(PIECE_BYTES);

function* zeros(count: number, signal: AbortSignal | undefined): Generator<Buffer> {
  for (let left = count; left > 0; left -= PIECE_BYTES) {
    signal?.throwIfAborted();
    yield ZEROS.subarray(0, Math.min(left, PIECE_BYTES));
  }
}
