/**
 * Writes a complete ext4 file system into a sparse file in one pass, with no program of the host.
 *
 * File bodies come first, in any order and before anything is known about the tree; `finish` then numbers
 * the inodes and writes everything else. The same calls always give the same bytes.
 */
import type { Ext4Directory, Ext4FileData, Timestamp } from './node.js';

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
export function createExt4Image(_file: string | number): Ext4ImageWriter {
  throw new Error('in the making');
}
