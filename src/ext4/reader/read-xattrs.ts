/**
 * Extended attributes: those in the inode and those in its block.
 * Source: Linux 6.12, Documentation/filesystems/ext4/attributes.rst.
 */
import { decodeAcl } from '../acl.js';
import { damaged, unsupported } from './problem.js';

const MAGIC = 0xea020000;
const IN_INODE_HEADER_BYTES = 4;
const BLOCK_HEADER_BYTES = 32;
const ENTRY_HEADER_BYTES = 16;
const PREFIXES: Readonly<Record<number, string>> = {
  1: 'user.',
  4: 'trusted.',
  6: 'security.',
  7: 'system.',
};
const ACLS: Readonly<Record<number, string>> = {
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
};

/** Adds what lies in the inode to `into`; names are latin1. @throws {HearthError} `FILE_SYSTEM_INVALID`. */
export function readInodeXattrs(extra: Buffer, inode: number, into: Map<string, Uint8Array>): void {
  if (extra.byteLength < IN_INODE_HEADER_BYTES || extra.readUInt32LE(0) !== MAGIC) return;
  readEntries(extra.subarray(IN_INODE_HEADER_BYTES), 0, inode, into);
}

/** Adds those of a block. @throws {HearthError} `FILE_SYSTEM_INVALID`. */
export function readBlockXattrs(block: Buffer, inode: number, into: Map<string, Uint8Array>): void {
  if (block.readUInt32LE(0) !== MAGIC) throw damaged(`the attributes of inode ${inode}`, { inode });
  readEntries(block, BLOCK_HEADER_BYTES, inode, into);
}

/** Entries from `start` on, up to four zero bytes; their values are counted from the beginning of `bytes`. */
function readEntries(bytes: Buffer, start: number, inode: number, into: Map<string, Uint8Array>): void {
  let at = start;
  while (at + 4 <= bytes.byteLength && bytes.readUInt32LE(at) !== 0) {
    const nameBytes = bytes[at] ?? 0;
    const end = at + ENTRY_HEADER_BYTES + nameBytes;
    if (end > bytes.byteLength) throw damaged(`the attributes of inode ${inode}`, { inode });
    const valueAt = bytes.readUInt16LE(at + 2);
    const valueBytes = bytes.readUInt32LE(at + 8);
    if (bytes.readUInt32LE(at + 4) !== 0) throw unsupported('attributes in inodes of their own', { inode });
    if (valueAt + valueBytes > bytes.byteLength) throw damaged(`the attributes of inode ${inode}`, { inode });
    const value = bytes.subarray(valueAt, valueAt + valueBytes);
    const index = bytes[at + 1] ?? 0;
    const name = bytes.toString('latin1', at + ENTRY_HEADER_BYTES, end);
    const acl = ACLS[index];
    const prefix = PREFIXES[index];
    if (acl !== undefined) {
      const decoded = decodeAcl(value);
      if (decoded === undefined) throw damaged(`the access list of inode ${inode}`, { inode });
      into.set(acl, decoded);
    } else if (prefix !== undefined) {
      into.set(prefix + name, Buffer.from(value));
    }
    at = start + ((end - start + 3) & ~3);
  }
}
