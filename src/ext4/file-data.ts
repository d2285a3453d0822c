/**
 * File bodies on their way into the image: taken one file at a time, laid down block after block.
 *
 * Nothing is known yet about the size of the image, so the place of every superblock and descriptor copy
 * that any size could ask for stays free.
 */
import { HearthError } from '../errors/index.js';
import { BLOCK_BYTES, BLOCKS_PER_GROUP } from './format.js';
import type { ImageFile } from './image-file.js';
import { hasSuperblock, MAX_BLOCK_COUNT, MAX_DESCRIPTOR_BLOCKS } from './layout.js';
import type { Ext4FileData } from './node.js';

/** Blocks kept free at the start of every group with a superblock copy. */
export const KEPT_FRONT_BLOCKS = 1 + MAX_DESCRIPTOR_BLOCKS;

/** Extents in memory take 24 bytes; beyond this many, only holes that the caller names are made. */
const MAX_EXTENTS_WITH_FOUND_HOLES = 2 ** 20;

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);
const NO_EXTENTS: readonly number[] = Object.freeze([]);

function startOfNextFront(block: number): number {
  let group = Math.ceil(block / BLOCKS_PER_GROUP);
  while (!hasSuperblock(group)) group += 1;
  return group * BLOCKS_PER_GROUP;
}

export class FileDataWriter {
  readonly #image: ImageFile;
  /** Blocks of the image from `#stageBlock` on; `#stagedBlocks` of them are whole. */
  readonly #stage: Buffer;
  readonly #stageCapacity: number;
  #stageBlock = KEPT_FRONT_BLOCKS;
  #stagedBlocks = 0;
  /** Where the next kept front starts: data goes up to here, then jumps over it. */
  #frontBlock = startOfNextFront(KEPT_FRONT_BLOCKS);

  #open = false;
  /** Bytes of the file's last block, which is in the stage after the whole ones. */
  #tailBytes = 0;
  #fileBlock = 0;
  #extents: number[] = [];
  /** Of all files together. */
  #extentCount = 0;

  constructor(image: ImageFile, buffer: ArrayBuffer) {
    this.#image = image;
    this.#stage = Buffer.from(buffer);
    this.#stageCapacity = buffer.byteLength / BLOCK_BYTES;
  }

  /** The end of all data: the block after the last one in use. */
  get endBlock(): number {
    return this.#stageBlock + this.#stagedBlocks;
  }

  begin(): void {
    if (this.#open) throw new HearthError('INTERNAL', 'a file body was begun inside another one');
    this.#open = true;
    this.#tailBytes = 0;
    this.#fileBlock = 0;
    this.#extents = [];
  }

  write(chunk: Uint8Array): void {
    this.#assertOpen();
    let offset = 0;
    if (this.#tailBytes > 0) {
      offset = Math.min(BLOCK_BYTES - this.#tailBytes, chunk.byteLength);
      this.#fillTail(chunk.subarray(0, offset));
    }
    while (chunk.byteLength - offset >= BLOCK_BYTES) offset = this.#writeBlocks(chunk, offset);
    if (offset < chunk.byteLength) this.#fillTail(chunk.subarray(offset));
  }

  skip(byteCount: number): void {
    this.#assertOpen();
    let rest = byteCount;
    if (this.#tailBytes > 0) {
      const padding = Math.min(BLOCK_BYTES - this.#tailBytes, rest);
      this.#fillTail(ZERO_BLOCK.subarray(0, padding));
      rest -= padding;
    }
    this.#fileBlock += Math.floor(rest / BLOCK_BYTES);
    if (rest % BLOCK_BYTES > 0) this.#fillTail(ZERO_BLOCK.subarray(0, rest % BLOCK_BYTES));
  }

  end(): Ext4FileData {
    this.#assertOpen();
    const sizeBytes = this.#fileBlock * BLOCK_BYTES + this.#tailBytes;
    if (this.#tailBytes > 0) this.#fillTail(ZERO_BLOCK.subarray(this.#tailBytes));
    this.#open = false;
    const extents = this.#extents.length === 0 ? NO_EXTENTS : this.#extents;
    this.#extents = [];
    return { sizeBytes, extents };
  }

  /** Takes back the last body when no block of it has left the stage. */
  discard(data: Ext4FileData): void {
    const first = data.extents[1];
    const blockCount = data.extents.reduce((sum, value, i) => (i % 3 === 2 ? sum + value : sum), 0);
    if (this.#open || first === undefined || first < this.#stageBlock) return;
    if (first + blockCount === this.endBlock) this.#stagedBlocks = first - this.#stageBlock;
  }

  /** Writes what is still in memory; the last thing done. */
  finish(): void {
    if (this.#open) throw new HearthError('INTERNAL', 'a file body was not ended');
    this.#flush();
  }

  #flush(): void {
    if (this.#stagedBlocks > 0) {
      this.#image.write(
        this.#stage.subarray(0, this.#stagedBlocks * BLOCK_BYTES),
        this.#stageBlock * BLOCK_BYTES,
      );
    }
    this.#stageBlock += this.#stagedBlocks;
    this.#stagedBlocks = 0;
  }

  #assertOpen(): void {
    if (!this.#open) throw new HearthError('INTERNAL', 'file bytes arrived before the file was begun');
  }

  /** Appends to the file's last, partial block; `bytes` do not reach beyond it. */
  #fillTail(bytes: Uint8Array): void {
    this.#makeRoom();
    const blockStart = this.#stagedBlocks * BLOCK_BYTES;
    this.#stage.set(bytes, blockStart + this.#tailBytes);
    this.#tailBytes += bytes.byteLength;
    if (this.#tailBytes < BLOCK_BYTES) return;
    this.#tailBytes = 0;
    if (this.#isHole(this.#stage, blockStart)) this.#fileBlock += 1;
    else this.#commit(1);
  }

  /** Copies a run of blocks that are not zero, or passes over a run that is; returns the offset behind it. */
  #writeBlocks(chunk: Uint8Array, start: number): number {
    let offset = start;
    while (chunk.byteLength - offset >= BLOCK_BYTES && this.#isHole(chunk, offset)) {
      offset += BLOCK_BYTES;
      this.#fileBlock += 1;
    }
    if (chunk.byteLength - offset < BLOCK_BYTES) return offset;
    const room = this.#makeRoom();
    const runStart = offset;
    let count = 0;
    do {
      offset += BLOCK_BYTES;
      count += 1;
    } while (count < room && chunk.byteLength - offset >= BLOCK_BYTES && !this.#isHole(chunk, offset));
    this.#stage.set(chunk.subarray(runStart, offset), this.#stagedBlocks * BLOCK_BYTES);
    this.#commit(count);
    return offset;
  }

  /**
   * Called before a block is begun and then without effect until it is whole: a tail never moves.
   *
   * @returns How many blocks the stage can take in one run, at least one.
   */
  #makeRoom(): number {
    const atFront = this.endBlock === this.#frontBlock;
    if (this.#stagedBlocks === this.#stageCapacity || atFront) this.#flush();
    if (atFront) {
      this.#stageBlock = this.#frontBlock + KEPT_FRONT_BLOCKS;
      this.#frontBlock = startOfNextFront(this.#stageBlock);
      if (this.#stageBlock >= MAX_BLOCK_COUNT) {
        throw new HearthError('CONTENT_TOO_LARGE', 'the files have more than 8 TiB', {
          hint: 'Leave large files out of the image and mount them instead.',
          details: { maximumBytes: MAX_BLOCK_COUNT * BLOCK_BYTES },
        });
      }
    }
    return Math.min(this.#stageCapacity - this.#stagedBlocks, this.#frontBlock - this.endBlock);
  }

  /** Gives the next `count` staged blocks to the file. */
  #commit(count: number): void {
    const block = this.endBlock;
    const extents = this.#extents;
    const last = extents.length - 3;
    const lastCount = extents[last + 2] ?? 0;
    if (
      last >= 0 &&
      (extents[last] ?? 0) + lastCount === this.#fileBlock &&
      (extents[last + 1] ?? 0) + lastCount === block
    ) {
      extents[last + 2] = lastCount + count;
    } else {
      extents.push(this.#fileBlock, block, count);
      this.#extentCount += 1;
    }
    this.#stagedBlocks += count;
    this.#fileBlock += count;
  }

  /** @param offset Start of a whole block in `bytes`. */
  #isHole(bytes: Uint8Array, offset: number): boolean {
    if (bytes[offset] !== 0 || bytes[offset + BLOCK_BYTES - 1] !== 0) return false;
    if (this.#extentCount > MAX_EXTENTS_WITH_FOUND_HOLES) return false;
    return ZERO_BLOCK.compare(bytes, offset, offset + BLOCK_BYTES) === 0;
  }
}
