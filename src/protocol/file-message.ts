/**
 * The messages about files of the guest, and the stream of a directory tree.
 *
 * Source: `protocol/PROTOCOL.md`, "Files"; `guest/agent/files.c` and `tree.c` are the other side.
 */
import { message } from './message-type.js';
import { count64, pathText, record, u8, u32, u64 } from './wire.js';

/** A 32-bit field that means "leave it as it is" (uid, gid, mode). */
export const KEEP = 0xffff_ffff;

/** What a file is, as lstat(2) says; `target` is what a symbolic link points to. */
export const FILE_STATUS = record({
  mode: u32,
  uid: u32,
  gid: u32,
  sizeBytes: count64,
  /** Two's complement. */
  mtimeNs: u64,
  deviceMajor: u32,
  deviceMinor: u32,
  inode: u64,
  linkCount: u32,
  target: pathText,
});
/** An entry of a list (its name) or a tree (its path relative to the root, `''` for the root itself). */
export const FILE_ENTRY = record({ path: pathText, status: FILE_STATUS });
/** Largest encoded {@link FILE_ENTRY}, in bytes. */
export const MAX_FILE_ENTRY_BYTES = 12 * 1024;
/** The payload of OK after FILE_LIST, TREE_READ and TREE_WRITE. */
export const ENTRY_COUNT = record({ count: count64 });

export const STAT_FLAGS = { follow: 1 } as const;
export const WRITE_FLAGS = { parents: 1, exclusive: 2, inPlace: 4, sync: 8 } as const;
export const REMOVE_FLAGS = { recursive: 1, missingOk: 2 } as const;
export const TREE_FLAGS = { contents: 1, owners: 2 } as const;

/** `mtimeNs` 0 is now. */
const attributes = { mode: u32, uid: u32, gid: u32, mtimeNs: u64 } as const;

export const FILE_STAT = message(0x40, 'FILE_STAT', record({ flags: u8, path: pathText }));
/** Answered by data on channel 1: entries, each after its length of 32 bits. */
export const FILE_LIST = message(0x41, 'FILE_LIST', record({ path: pathText }));
/** Answered by the bytes on channel 1. */
export const FILE_READ = message(
  0x42,
  'FILE_READ',
  record({ offsetBytes: u64, lengthBytes: u64, path: pathText }),
);
/** Followed by the bytes on channel 0. */
export const FILE_WRITE = message(0x43, 'FILE_WRITE', record({ flags: u32, ...attributes, path: pathText }));
export const FILE_MKDIR = message(0x44, 'FILE_MKDIR', record({ flags: u32, ...attributes, path: pathText }));
export const FILE_REMOVE = message(0x45, 'FILE_REMOVE', record({ flags: u32, path: pathText }));
export const FILE_RENAME = message(0x46, 'FILE_RENAME', record({ from: pathText, to: pathText }));
export const FILE_SYMLINK = message(0x47, 'FILE_SYMLINK', record({ target: pathText, path: pathText }));
export const FILE_ATTRIBUTES = message(0x48, 'FILE_ATTRIBUTES', record({ ...attributes, path: pathText }));
/** Answered by a tree on channel 1. */
export const TREE_READ = message(0x49, 'TREE_READ', record({ flags: u32, path: pathText }));
/** Followed by a tree on channel 0. */
export const TREE_WRITE = message(0x4a, 'TREE_WRITE', record({ flags: u32, path: pathText }));
