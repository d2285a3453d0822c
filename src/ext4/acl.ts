/**
 * POSIX ACLs: the value that getxattr shows, and the shorter one that ext4 stores.
 * Source: Linux 6.12, include/uapi/linux/posix_acl_xattr.h and fs/ext4/acl.h.
 */

const XATTR_VERSION = 2;
const EXT4_VERSION = 1;
const HEADER_BYTES = 4;
const XATTR_ENTRY_BYTES = 8;
const NO_ID = 0xffffffff;
const TAG = {
  userObject: 0x01,
  user: 0x02,
  groupObject: 0x04,
  group: 0x08,
  mask: 0x10,
  other: 0x20,
} as const;
const KNOWN_TAGS: ReadonlySet<number> = new Set(Object.values(TAG));

/**
 * Converts an ACL from its xattr form to ext4's.
 *
 * @returns An empty value for an ACL without entries, which is no ACL; undefined when `value` is not an ACL.
 */
export function encodeAcl(value: Uint8Array): Uint8Array | undefined {
  const entryBytes = value.byteLength - HEADER_BYTES;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (entryBytes < 0 || entryBytes % XATTR_ENTRY_BYTES !== 0) return undefined;
  if (view.getUint32(0, true) !== XATTR_VERSION) return undefined;
  if (entryBytes === 0) return new Uint8Array(0);

  const encoded = new DataView(new ArrayBuffer(value.byteLength));
  encoded.setUint32(0, EXT4_VERSION, true);
  let length = HEADER_BYTES;
  for (let offset = HEADER_BYTES; offset < value.byteLength; offset += XATTR_ENTRY_BYTES) {
    const tag = view.getUint16(offset, true);
    if (!KNOWN_TAGS.has(tag)) return undefined;
    encoded.setUint16(length, tag, true);
    encoded.setUint16(length + 2, view.getUint16(offset + 2, true), true);
    length += 4;
    // Only named users and groups have an id.
    if (tag === TAG.user || tag === TAG.group) {
      encoded.setUint32(length, view.getUint32(offset + 4, true), true);
      length += 4;
    }
  }
  return new Uint8Array(encoded.buffer, 0, length);
}

/** Converts an ACL from ext4's form to its xattr form; undefined when `stored` is not an ACL. */
export function decodeAcl(stored: Uint8Array): Uint8Array | undefined {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  if (stored.byteLength < HEADER_BYTES || view.getUint32(0, true) !== EXT4_VERSION) return undefined;
  const decoded = new DataView(new ArrayBuffer(HEADER_BYTES + stored.byteLength * 2));
  decoded.setUint32(0, XATTR_VERSION, true);
  let length = HEADER_BYTES;
  let offset = HEADER_BYTES;
  while (offset < stored.byteLength) {
    if (offset + 4 > stored.byteLength) return undefined;
    const tag = view.getUint16(offset, true);
    const hasId = tag === TAG.user || tag === TAG.group;
    if (!KNOWN_TAGS.has(tag) || (hasId && offset + XATTR_ENTRY_BYTES > stored.byteLength)) return undefined;
    decoded.setUint16(length, tag, true);
    decoded.setUint16(length + 2, view.getUint16(offset + 2, true), true);
    decoded.setUint32(length + 4, hasId ? view.getUint32(offset + 4, true) : NO_ID, true);
    offset += hasId ? XATTR_ENTRY_BYTES : 4;
    length += XATTR_ENTRY_BYTES;
  }
  return new Uint8Array(decoded.buffer, 0, length);
}
