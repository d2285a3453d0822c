/** The blocks of a file system: as the disk has them, or where its journal says that they should be. */
import { damaged } from './problem.js';

/** A disk. */
export interface Ext4Source {
  readonly sizeBytes: number;
  /** Fills `into` from `position` on; never asked for what lies beyond the size. */
  read(into: Uint8Array, position: number): Promise<void>;
}

/** A block whose newest content is in the journal. */
export interface JournalBlock {
  readonly block: number;
  /** Its first four bytes were those that begin every block of the journal itself. */
  readonly escaped: boolean;
}

export const JOURNAL_MAGIC = 0xc03b3998;
const CACHED_BYTES = 16 * 1024 * 1024;

export class BlockStore {
  readonly blockBytes: number;
  readonly blockCount: number;
  readonly #source: Ext4Source;
  /** Blocks of metadata, those of longest ago first. */
  readonly #cache = new Map<number, Buffer>();
  #replayed: ReadonlyMap<number, JournalBlock> = new Map();

  constructor(source: Ext4Source, { blockBytes, blockCount }: { blockBytes: number; blockCount: number }) {
    this.#source = source;
    this.blockBytes = blockBytes;
    this.blockCount = blockCount;
  }

  /** From now on these blocks are read from where they lie in the journal. */
  replay(blocks: ReadonlyMap<number, JournalBlock>): void {
    this.#replayed = blocks;
    this.#cache.clear();
  }

  /** A block of metadata; not to be changed. */
  async block(block: number): Promise<Buffer> {
    const cached = this.#cache.get(block);
    if (cached !== undefined) {
      this.#cache.delete(block);
      this.#cache.set(block, cached);
      return cached;
    }
    const bytes = Buffer.alloc(this.blockBytes);
    await this.read(bytes, block);
    this.#cache.set(block, bytes);
    if (this.#cache.size * this.blockBytes > CACHED_BYTES) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest);
        break;
      }
    }
    return bytes;
  }

  /** Whole blocks, from `block` on. */
  async read(into: Buffer, block: number): Promise<void> {
    const count = into.byteLength / this.blockBytes;
    this.check(block, count);
    await this.#source.read(into, block * this.blockBytes);
    if (this.#replayed.size === 0) return;
    for (let at = 0; at < count; at += 1) {
      const newest = this.#replayed.get(block + at);
      if (newest === undefined) continue;
      const bytes = into.subarray(at * this.blockBytes, (at + 1) * this.blockBytes);
      await this.#source.read(bytes, newest.block * this.blockBytes);
      if (newest.escaped) bytes.writeUInt32BE(JOURNAL_MAGIC, 0);
    }
  }

  /** Whether the journal has newer content for one of these blocks. */
  isReplayed(block: number, count: number): boolean {
    if (this.#replayed.size === 0) return false;
    for (let at = block; at < block + count; at += 1) if (this.#replayed.has(at)) return true;
    return false;
  }

  /** @throws {HearthError} `FILE_SYSTEM_INVALID` for blocks that the file system does not have. */
  check(block: number, count: number): void {
    if (block >= 1 && count >= 1 && block + count <= this.blockCount) return;
    if (block === 0 && count === 1) return;
    throw damaged(`block ${block} is beyond its end`, { block, count, blockCount: this.blockCount });
  }
}
