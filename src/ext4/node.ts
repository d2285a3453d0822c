/**
 * The tree that becomes an ext4 file system. Nodes are inodes: a hard link is one node under two names.
 * Merging layers builds this tree; the writer numbers and writes it.
 */

/** A point in time. ext4 holds -2^31 .. 2^34-2^31-1 seconds (1901..2446); the writer clamps to that range. */
export interface Timestamp {
  /** Seconds since 1970, whole, may be negative. */
  seconds: number;
  /** 0..999,999,999 */
  nanoseconds: number;
}

/** Where a file's bytes lie in the image: block runs in file order; what no run covers is a hole. */
export interface Ext4FileData {
  readonly sizeBytes: number;
  /** Flat triples: first file block, first image block, block count. Ascending, not overlapping. */
  readonly extents: readonly number[];
}

export interface Ext4NodeBase {
  /** Permission, setuid, setgid and sticky bits: 0..0o7777. */
  mode: number;
  /** 0..2^32-1 */
  uid: number;
  gid: number;
  mtime: Timestamp;
  /** Full names with prefix (`user.x`, `security.capability`) as latin1 (one char a byte) to raw values; undefined when none. */
  xattrs: Map<string, Uint8Array> | undefined;
}

export interface Ext4Directory extends Ext4NodeBase {
  kind: 'directory';
  /** Names as latin1 strings: one character a byte, so that any bytes survive. */
  children: Map<string, Ext4Node>;
}

export interface Ext4File extends Ext4NodeBase {
  kind: 'file';
  data: Ext4FileData;
}

export interface Ext4Symlink extends Ext4NodeBase {
  kind: 'symlink';
  /** Raw bytes, 1..4095, no NUL. */
  target: Uint8Array;
}

export interface Ext4Device extends Ext4NodeBase {
  kind: 'character' | 'block';
  /** 0..4095 */
  major: number;
  /** 0..2^20-1 */
  minor: number;
}

export interface Ext4Special extends Ext4NodeBase {
  kind: 'fifo' | 'socket';
}

export type Ext4Node = Ext4Directory | Ext4File | Ext4Symlink | Ext4Device | Ext4Special;
