/**
 * Writes a complete ext4 file system into a sparse file in one pass, with no program of the host.
 *
 * File bodies come first, in any order and before anything is known about the tree; `finish` then numbers
 * the inodes and writes everything else. The same calls always give the same bytes.
 */
import { HearthError } from '../errors/index.js';
import { fileSystemSeed } from './checksum.js';
import { dataUse } from './data-use.js';
import { hashStateOf } from './directory-hash.js';
import { FileDataWriter } from './file-data.js';
import { BLOCK_BYTES } from './format.js';
import { FreeSpace, type Runs } from './free-space.js';
import { writeFronts } from './fronts.js';
import { writeGroups } from './groups.js';
import { BlockStage, ImageFile } from './image-file.js';
import { writeInodeTable } from './inode-table.js';
import type { Ext4Directory, Ext4FileData, Timestamp } from './node.js';
import { planForSize } from './plan.js';
import { encodeSuperblock } from './superblock.js';
import { numberTree } from './tree.js';
import { measureTree } from './tree-blocks.js';

const STAGE_BYTES = 4 * 1024 * 1024;
const INODE_STAGE_BYTES = 1024 * 1024;
const RESIZE_MAP_BLOCKS = 1;
const ID_BYTES = 16;
const MAX_LABEL_BYTES = 16;

export interface Ext4FinishOptions {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** 16 bytes; seeds the hashes of directory indexes. */
  readonly hashSeed: Uint8Array;
  /** The file system's creation time; also the times of inodes that no layer has (journal, `lost+found`). */
  readonly createdAt: Timestamp;
  /**
   * Size of the image file, rounded down to 4 KiB; at most 8 TiB.
   * Default: a quarter more than the content, at least 1 GiB and what the tree needs.
   */
  readonly sizeBytes?: number;
  /** Volume label, at most 16 bytes of UTF-8. */
  readonly label?: string;
}

export interface Ext4Summary {
  /** Size of the image file. */
  readonly sizeBytes: number;
  /** 4 KiB blocks of the file system; a last group too small for its own metadata is left out, as mke2fs does. */
  readonly blockCount: number;
  readonly freeBlockCount: number;
  readonly inodeCount: number;
  readonly freeInodeCount: number;
  /** Bytes of blocks that hold file bodies. */
  readonly contentBytes: number;
  /** Bytes written to the image file, everything included; the rest of it is holes. */
  readonly writtenBytes: number;
}

/**
 * An image being written. All calls are synchronous. After any of them threw, only `close` may be called
 * and the file is worthless.
 */
export interface Ext4ImageWriter extends Disposable {
  /** Starts the body of a file. One body at a time. */
  beginFile(): void;
  /** Appends bytes, which are copied: the caller may reuse the chunk. Whole blocks of zeros become holes. */
  write(chunk: Uint8Array): void;
  /** Appends zeros that are stored as a hole. */
  skip(byteCount: number): void;
  /** Ends the body. The result belongs into exactly one `Ext4File` of the tree (hard links share that node). */
  endFile(): Ext4FileData;
  /** `beginFile`, `write`, `endFile`. */
  writeFile(bytes: Uint8Array): Ext4FileData;
  /**
   * Says that a body is not needed after all. Its blocks are used again when it was the last one and has not
   * left memory; otherwise they become free space of the file system, as do those of every body that the
   * tree of `finish` does not name, discarded or not.
   */
  discard(data: Ext4FileData): void;
  /**
   * Writes everything else: inodes, directories, bitmaps, journal. Children are taken in the order of their
   * names' bytes, whatever the order of the maps. Does not sync and does not close a descriptor it was given.
   *
   * @throws {HearthError} `ROOTFS_TOO_SMALL` with `details.minimumBytes`, the least size that works;
   *   `SIZE_INVALID` above 8 TiB; with `details.path`: `FILE_TOO_LARGE`, `NAME_TOO_LONG`, `SYMLINK_TOO_LONG`,
   *   `XATTR_TOO_LARGE`, `XATTR_UNSUPPORTED`, `LINKS_TOO_MANY`, `ENTRIES_TOO_MANY`;
   *   `DISK_FULL`; `INTERNAL` for a tree that breaks the contract of its types.
   */
  finish(root: Ext4Directory, options: Ext4FinishOptions): Ext4Summary;
  /** Closes the file if the writer opened it. Idempotent. */
  close(): void;
}

/**
 * Starts an image.
 *
 * @param file A path, at which a new file (0644) is created and nothing may exist, or a descriptor of an
 *   empty regular file open for writing, which stays the caller's.
 * @throws {HearthError} see `fileError`.
 */
export function createExt4Image(file: string | number): Ext4ImageWriter {
  return new ImageWriter(file);
}

class ImageWriter implements Ext4ImageWriter {
  readonly #image: ImageFile;
  /** File data passes through it first, then everything else. */
  readonly #buffer = new ArrayBuffer(STAGE_BYTES);
  readonly #data: FileDataWriter;

  constructor(file: string | number) {
    this.#image = new ImageFile(file);
    this.#data = new FileDataWriter(this.#image, this.#buffer);
  }

  beginFile(): void {
    this.#data.begin();
  }

  write(chunk: Uint8Array): void {
    this.#data.write(chunk);
  }

  skip(byteCount: number): void {
    this.#data.skip(byteCount);
  }

  endFile(): Ext4FileData {
    return this.#data.end();
  }

  writeFile(bytes: Uint8Array): Ext4FileData {
    this.#data.begin();
    this.#data.write(bytes);
    return this.#data.end();
  }

  discard(data: Ext4FileData): void {
    this.#data.discard(data);
  }

  finish(root: Ext4Directory, options: Ext4FinishOptions): Ext4Summary {
    const { uuid, hashSeed, createdAt } = options;
    const label = new TextEncoder().encode(options.label ?? '');
    assertOptions(options, label);
    this.#data.finish();

    const tree = numberTree(root, createdAt);
    const treeBlocks = measureTree(tree, hashStateOf(hashSeed));
    const dataEndBlock = this.#data.endBlock;
    const { contentBlocks, unused } = dataUse(tree, dataEndBlock);
    const { plan, sizeBytes } = planForSize(options.sizeBytes, {
      dataEndBlock,
      contentBlocks,
      treeBlocks: treeBlocks.blockCount + RESIZE_MAP_BLOCKS,
      lastInode: tree.lastInode,
    });

    this.#image.setSize(sizeBytes);
    const stage = new BlockStage(this.#image, this.#buffer);
    const table = writeInodeTable({
      tree,
      treeBlocks,
      plan,
      uuid,
      createdAt,
      inodeStage: new BlockStage(this.#image, new ArrayBuffer(INODE_STAGE_BYTES)),
      contentStage: stage,
    });
    const { descriptors, freeBlockCount } = writeGroups(stage, {
      plan,
      free: joinFree(plan.free, [...unused, ...table.unused]),
      lastInode: tree.lastInode,
      directories: table.directories,
      seed: fileSystemSeed(uuid),
    });
    const { geometry } = plan;
    const inodeCount = geometry.inodesPerGroup * geometry.groupCount;
    const freeInodeCount = inodeCount - tree.lastInode;
    const superblock = encodeSuperblock({
      geometry,
      freeBlockCount,
      freeInodeCount,
      uuid,
      hashSeed,
      label,
      createdSeconds: createdAt.seconds,
      journalMap: table.journalMap,
      journalBytes: table.journalBytes,
    });
    writeFronts(stage, geometry, superblock, descriptors);
    return {
      sizeBytes,
      blockCount: geometry.blockCount,
      freeBlockCount,
      inodeCount,
      freeInodeCount,
      contentBytes: contentBlocks * BLOCK_BYTES,
      writtenBytes: this.#image.writtenBytes,
    };
  }

  close(): void {
    this.#image.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** All free runs in ascending order, of which `more` are block and count by turns, in any order. */
function joinFree(free: FreeSpace, more: Runs): FreeSpace {
  const runs: (readonly [start: number, end: number])[] = [...free.runs()];
  for (let i = 0; i < more.length; i += 2) {
    const start = more[i] ?? 0;
    runs.push([start, start + (more[i + 1] ?? 0)]);
  }
  runs.sort(([a], [b]) => a - b);
  const joined = new FreeSpace();
  for (const [start, end] of runs) joined.append(start, end);
  return joined;
}

function assertOptions({ uuid, hashSeed, createdAt }: Ext4FinishOptions, label: Uint8Array): void {
  const lengths = { uuid: uuid.byteLength, hashSeed: hashSeed.byteLength, label: label.byteLength };
  if (lengths.uuid === ID_BYTES && lengths.hashSeed === ID_BYTES && lengths.label <= MAX_LABEL_BYTES) {
    if (Number.isInteger(createdAt.seconds)) return;
  }
  throw new HearthError('INTERNAL', 'the options of an ext4 image are out of range', {
    details: { lengths, createdAt },
  });
}
