/**
 * POSIX ACLs: the value that getxattr shows, and the shorter one that ext4 stores.
 * Source: Linux 6.12, include/uapi/linux/posix_acl_xattr.h and fs/ext4/acl.h.
 */

const XATTR_VERSION = 2;
const EXT4_VERSION = 1;
const HEADER_BYTES = 4;
const XATTR_ENTRY_BYTES = 8;
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
