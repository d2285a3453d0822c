/**
 * Extended attributes: in the inode as far as they fit, the rest in one block.
 * Source: Linux 6.12, Documentation/filesystems/ext4/attributes.rst.
 */
import { updateCrc32c } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import { encodeAcl } from './acl.js';
import { sumUint32, sumUint64 } from './checksum.js';
import { BLOCK_BYTES, CLASSIC_INODE_BYTES, EXTRA_INODE_BYTES, INODE_BYTES } from './format.js';

/** Bytes of an inode that xattrs may use. */
const IN_INODE_XATTR_BYTES = INODE_BYTES - CLASSIC_INODE_BYTES - EXTRA_INODE_BYTES;
/** Inodes that may share one xattr block. */
export const MAX_XATTR_BLOCK_REFERENCES = 1024;

const MAGIC = 0xea020000;
const IN_INODE_HEADER_BYTES = 4;
const BLOCK_HEADER_BYTES = 32;
const BLOCK_REFERENCES_OFFSET = 4;
const BLOCK_CHECKSUM_OFFSET = 16;
const ENTRY_HEADER_BYTES = 16;
/** Four zero bytes after the last entry. */
const END_BYTES = 4;
const MAX_XATTR_NAME_BYTES = 255;
const IN_INODE_SPACE_BYTES = IN_INODE_XATTR_BYTES - IN_INODE_HEADER_BYTES - END_BYTES;
const BLOCK_SPACE_BYTES = BLOCK_BYTES - BLOCK_HEADER_BYTES - END_BYTES;

const ACL_INDEXES: Readonly<Record<string, number>> = {
  'system.posix_acl_access': 2,
  'system.posix_acl_default': 3,
};
const PREFIX_INDEXES: ReadonlyArray<readonly [prefix: string, index: number]> = [
  ['user.', 1],
  ['trusted.', 4],
  ['security.', 6],
];

interface Entry {
  readonly index: number;
  /** Without its prefix. */
  readonly name: string;
  readonly value: Uint8Array;
  /** Header, name and value, each padded to four. */
  readonly bytes: number;
}

export interface EncodedXattrs {
  /** The {@link IN_INODE_XATTR_BYTES} bytes at the end of the inode; undefined when empty. */
  readonly inInode: Uint8Array | undefined;
  /** A block still without reference count and checksum (see {@link finishXattrBlock}); undefined when not needed. */
  readonly block: Uint8Array | undefined;
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function entryOf(fullName: string, value: Uint8Array): Entry | 'nothing' | undefined {
  const aclIndex = ACL_INDEXES[fullName];
  const [prefix, prefixIndex] = PREFIX_INDEXES.find(([start]) => fullName.startsWith(start)) ?? [];
  let stored: Uint8Array | undefined = value;
  if (aclIndex !== undefined) stored = encodeAcl(value);
  const name = fullName.slice(prefix?.length ?? fullName.length);
  const index = aclIndex ?? prefixIndex;
  if (index === undefined || stored === undefined || name.includes('\0')) return undefined;
  if (aclIndex !== undefined && stored.byteLength === 0) return 'nothing';
  if (aclIndex === undefined && name === '') return undefined;
  const bytes = padded(ENTRY_HEADER_BYTES + name.length) + padded(stored.byteLength);
  return { index, name, value: stored, bytes };
}

/**
 * Encodes the xattrs of one inode.
 *
 * @param xattrs Full names as latin1. ACLs in the form of getxattr; an ACL without entries is left out.
 * @throws {HearthError} `XATTR_UNSUPPORTED` for a name that no Linux handler of ext4 knows or an ACL that is
 *   none; `XATTR_TOO_LARGE` when inode and one block cannot hold them.
 */
export function encodeXattrs(xattrs: ReadonlyMap<string, Uint8Array>, path: () => string): EncodedXattrs {
  const entries: Entry[] = [];
  let allBytes = 0;
  for (const [fullName, value] of xattrs) {
    const entry = entryOf(fullName, value);
    if (entry === undefined) throw unsupported(path(), fullName);
    if (entry === 'nothing') continue;
    if (fullName.length > MAX_XATTR_NAME_BYTES) throw tooLarge(path(), fullName.length);
    entries.push(entry);
    allBytes += entry.bytes;
    if (allBytes > IN_INODE_SPACE_BYTES + BLOCK_SPACE_BYTES) throw tooLarge(path(), sizeOf(xattrs));
  }
  // The kernel finds entries of a block by binary search.
  entries.sort((a, b) => a.index - b.index || a.name.length - b.name.length || compareText(a.name, b.name));
  const chosen = fullestChoice(entries, IN_INODE_SPACE_BYTES);
  const inside = entries.filter((entry) => chosen.has(entry));
  const outside = entries.filter((entry) => !chosen.has(entry));
  const outsideBytes = outside.reduce((sum, entry) => sum + entry.bytes, 0);
  if (outsideBytes > BLOCK_SPACE_BYTES) throw tooLarge(path(), sizeOf(xattrs));
  return {
    inInode: inside.length === 0 ? undefined : writeInInode(inside),
    block: outside.length === 0 ? undefined : writeBlock(outside),
  };
}

/** The entries that together fill `space` best; sizes are multiples of four. */
function fullestChoice(entries: readonly Entry[], space: number): Set<Entry> {
  const best: (readonly Entry[] | undefined)[] = new Array(space / 4 + 1).fill(undefined);
  best[0] = [];
  for (const entry of entries) {
    const units = entry.bytes / 4;
    for (let used = space / 4; used >= units; used--) {
      const before = best[used - units];
      if (before !== undefined && best[used] === undefined) best[used] = [...before, entry];
    }
  }
  return new Set(best.findLast((choice) => choice !== undefined));
}

function sizeOf(xattrs: ReadonlyMap<string, Uint8Array>): number {
  let bytes = 0;
  for (const [name, value] of xattrs) bytes += name.length + value.byteLength;
  return bytes;
}

function writeInInode(entries: readonly Entry[]): Uint8Array {
  const bytes = new Uint8Array(IN_INODE_XATTR_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  writeEntries(view, entries, { start: IN_INODE_HEADER_BYTES, valueBase: IN_INODE_HEADER_BYTES });
  return bytes;
}

function writeBlock(entries: readonly Entry[]): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(8, 1, true);
  const hashes = writeEntries(view, entries, { start: BLOCK_HEADER_BYTES, valueBase: 0, withHashes: true });
  // A block of which one entry has no hash has none either.
  const blockHash = hashes.includes(0)
    ? 0
    : hashes.reduce((sum, hash) => ((sum << 16) ^ (sum >>> 16) ^ hash) >>> 0, 0);
  view.setUint32(12, blockHash, true);
  return bytes;
}

/** Writes entries from `start` up and values from the end down; returns the hashes of the entries. */
function writeEntries(
  view: DataView,
  entries: readonly Entry[],
  place: { start: number; valueBase: number; withHashes?: boolean },
): number[] {
  const bytes = new Uint8Array(view.buffer);
  let position = place.start;
  let valueStart = bytes.byteLength;
  return entries.map(({ index, name, value }) => {
    bytes[position] = name.length;
    bytes[position + 1] = index;
    if (value.byteLength > 0) {
      valueStart -= padded(value.byteLength);
      bytes.set(value, valueStart);
      view.setUint16(position + 2, valueStart - place.valueBase, true);
    }
    view.setUint32(position + 8, value.byteLength, true);
    for (let i = 0; i < name.length; i++) bytes[position + ENTRY_HEADER_BYTES + i] = name.charCodeAt(i);
    const hash = place.withHashes === true ? entryHash(view, name, valueStart, value.byteLength) : 0;
    view.setUint32(position + 12, hash, true);
    position += padded(ENTRY_HEADER_BYTES + name.length);
    return hash;
  });
}

function entryHash(view: DataView, name: string, valueStart: number, valueBytes: number): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash << 5) ^ (hash >>> 27) ^ name.charCodeAt(i);
  for (let offset = 0; offset < valueBytes; offset += 4) {
    hash = (hash << 16) ^ (hash >>> 16) ^ view.getUint32(valueStart + offset, true);
  }
  return hash >>> 0;
}

/** Adds what depends on the block's place and its users: reference count and checksum. */
export function finishXattrBlock(
  block: Uint8Array,
  place: { seed: number; blockNumber: number; references: number },
): void {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  view.setUint32(BLOCK_REFERENCES_OFFSET, place.references, true);
  const head = updateCrc32c(sumUint64(place.seed, place.blockNumber), block, 0, BLOCK_CHECKSUM_OFFSET);
  const checksum = updateCrc32c(sumUint32(head, 0), block, BLOCK_CHECKSUM_OFFSET + 4);
  view.setUint32(BLOCK_CHECKSUM_OFFSET, checksum, true);
}

function tooLarge(path: string, xattrBytes: number): HearthError {
  return new HearthError(
    'XATTR_TOO_LARGE',
    `the extended attributes of ${path} do not fit (${xattrBytes} bytes)`,
    {
      hint: 'Rebuild the image with fewer or smaller extended attributes on that file.',
      details: { path, xattrBytes, maximumBytes: IN_INODE_SPACE_BYTES + BLOCK_SPACE_BYTES },
    },
  );
}

function unsupported(path: string, name: string): HearthError {
  const shown = Buffer.from(name, 'latin1').toString('utf8').slice(0, MAX_XATTR_NAME_BYTES);
  return new HearthError(
    'XATTR_UNSUPPORTED',
    `ext4 cannot hold the extended attribute ${JSON.stringify(shown)} of ${path}`,
    {
      hint: 'Rebuild the image without that attribute; user.*, trusted.*, security.* and POSIX ACLs are kept.',
      details: { path, name: shown },
    },
  );
}
