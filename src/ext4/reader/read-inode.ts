/**
 * Inodes as values.
 * Source: Linux 6.12, Documentation/filesystems/ext4/inodes.rst.
 */
import { MODE_TYPE } from '../format.js';
import type { Timestamp } from '../node.js';
import { damaged, unsupported } from './problem.js';

export type Ext4FileKind = keyof typeof MODE_TYPE;

export interface Ext4Inode {
  readonly number: number;
  readonly kind: Ext4FileKind;
  /** Permission, set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: Timestamp;
  readonly linkCount: number;
  readonly major: number;
  readonly minor: number;
  readonly usesExtents: boolean;
  /** 60 bytes: extents, the target of a short link, or a device. */
  readonly map: Buffer;
  /** Block of further xattrs; 0: none. */
  readonly xattrBlock: number;
  /** What follows the fields in the inode, where xattrs may be. */
  readonly extra: Buffer;
}

const INLINE_DATA = 0x1000_0000;
const ENCRYPTED = 0x800;
const EXTENTS = 0x80000;
const KINDS = new Map(
  Object.entries(MODE_TYPE).map(([kind, bits]) => [bits as number, kind as Ext4FileKind]),
);
const MAP_AT = 40;

/** @throws {HearthError} `FILE_SYSTEM_INVALID`, `FILE_SYSTEM_UNSUPPORTED`. */
export function readInode(bytes: Buffer, number: number): Ext4Inode {
  const typeAndMode = bytes.readUInt16LE(0);
  const kind = KINDS.get(typeAndMode & 0xf000);
  const linkCount = bytes.readUInt16LE(26);
  if (kind === undefined || linkCount === 0)
    throw damaged(`inode ${number} is not a file`, { inode: number });
  const flags = bytes.readUInt32LE(32);
  if ((flags & INLINE_DATA) !== 0) throw unsupported('files within inodes', { inode: number });
  if ((flags & ENCRYPTED) !== 0) throw unsupported('encryption', { inode: number });
  const sizeBytes = bytes.readUInt32LE(4) + bytes.readUInt32LE(108) * 2 ** 32;
  if (!Number.isSafeInteger(sizeBytes))
    throw damaged(`inode ${number} has a size beyond 2^53`, { inode: number });
  const extraBytes = bytes.byteLength > 128 ? bytes.readUInt16LE(128) : 0;
  if (extraBytes % 4 !== 0 || 128 + extraBytes > bytes.byteLength) {
    throw damaged(`inode ${number} has ${extraBytes} bytes of fields`, { inode: number });
  }
  const map = bytes.subarray(MAP_AT, MAP_AT + 60);
  return {
    number,
    kind,
    mode: typeAndMode & 0o7777,
    uid: bytes.readUInt16LE(2) + bytes.readUInt16LE(120) * 2 ** 16,
    gid: bytes.readUInt16LE(24) + bytes.readUInt16LE(122) * 2 ** 16,
    sizeBytes: kind === 'file' || kind === 'directory' || kind === 'symlink' ? sizeBytes : 0,
    mtime: timestamp(bytes.readInt32LE(16), extraBytes >= 12 ? bytes.readUInt32LE(136) : 0),
    linkCount,
    ...deviceOf(kind, map),
    usesExtents: (flags & EXTENTS) !== 0,
    map,
    xattrBlock: bytes.readUInt32LE(104) + bytes.readUInt16LE(118) * 2 ** 32,
    extra: extraBytes === 0 ? bytes.subarray(bytes.byteLength) : bytes.subarray(128 + extraBytes),
  };
}

function timestamp(seconds: number, extra: number): Timestamp {
  return { seconds: seconds + (extra & 3) * 2 ** 32, nanoseconds: Math.min(extra >>> 2, 999_999_999) };
}

/** In 16 bits where it fits, else in the newer 32. */
function deviceOf(kind: Ext4FileKind, map: Buffer): { readonly major: number; readonly minor: number } {
  if (kind !== 'character' && kind !== 'block') return { major: 0, minor: 0 };
  const old = map.readUInt32LE(0);
  if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff };
  const device = map.readUInt32LE(4);
  return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
