/** One record of a tar archive, all extensions applied: what its header says, never what is on a disk. */

/** A point in time; `nanoseconds` is 0..999,999,999 and counts forward, also before 1970. */
export interface TarTimestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export type TarEntryKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character' | 'block' | 'fifo';

export interface TarEntry {
  /** As the archive spells it, not cleaned; latin1: one character a byte. Never empty of meaning, may be absolute or hold `..`. */
  readonly path: string;
  readonly kind: TarEntryKind;
  /** Target of a symlink or hard link, latin1, without NUL; `''` for every other kind. */
  readonly linkTarget: string;
  /** Permission, setuid, setgid and sticky bits: 0..0o7777. */
  readonly mode: number;
  /** 0..2^32-1 */
  readonly uid: number;
  readonly gid: number;
  readonly mtime: TarTimestamp;
  /** Device numbers of `character` and `block`, 0..4095 and 0..2^20-1; else 0. */
  readonly major: number;
  readonly minor: number;
  /** Length of the file as it reads, holes included; 0 for every kind but `file`. */
  readonly sizeBytes: number;
  /** Bytes of the file that the archive holds and `onData` will bring. Equals `sizeBytes` unless sparse. */
  readonly storedBytes: number;
  /** Full attribute names (latin1) to raw values; undefined when there are none. */
  readonly xattrs: Map<string, Uint8Array> | undefined;
  /** Where the entry's own header begins in the archive. */
  readonly offsetBytes: number;
}
