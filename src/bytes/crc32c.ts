/**
 * CRC-32C (Castagnoli), eight bytes a step ("slicing-by-8").
 * Source: RFC 3720, appendix B.4 (polynomial 0x1EDC6F41, reflected); Kounavis and Berry, 2005.
 */

const REFLECTED_POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

/** `TABLE[256 * k + b]` is the CRC of byte b followed by k zero bytes. */
const TABLE = new Int32Array(SLICES * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ REFLECTED_POLYNOMIAL : crc >>> 1;
  TABLE[byte] = crc;
}
for (let i = 256; i < TABLE.length; i++) {
  const before = TABLE[i - 256] ?? 0;
  TABLE[i] = (before >>> 8) ^ (TABLE[before & 0xff] ?? 0);
}

/**
 * Carries a CRC register over `bytes[start..end)`. The register is taken and given back as it is, without the
 * customary inversions: the checksum of RFC 3720 is `~updateCrc32c(~0, bytes)`, ext4's is `updateCrc32c(~0, bytes)`.
 *
 * @param register Any 32-bit integer, signed or not.
 * @param end At most `bytes.byteLength`.
 * @returns 0..2^32-1
 */
export function updateCrc32c(register: number, bytes: Uint8Array, start = 0, end = bytes.byteLength): number {
  const table = TABLE;
  let crc = register | 0;
  let i = start;
  for (const last = end - SLICES; i <= last; i += SLICES) {
    crc ^=
      (bytes[i] ?? 0) |
      ((bytes[i + 1] ?? 0) << 8) |
      ((bytes[i + 2] ?? 0) << 16) |
      ((bytes[i + 3] ?? 0) << 24);
    crc =
      (table[1792 + (crc & 0xff)] ?? 0) ^
      (table[1536 + ((crc >>> 8) & 0xff)] ?? 0) ^
      (table[1280 + ((crc >>> 16) & 0xff)] ?? 0) ^
      (table[1024 + (crc >>> 24)] ?? 0) ^
      (table[768 + (bytes[i + 4] ?? 0)] ?? 0) ^
      (table[512 + (bytes[i + 5] ?? 0)] ?? 0) ^
      (table[256 + (bytes[i + 6] ?? 0)] ?? 0) ^
      (table[bytes[i + 7] ?? 0] ?? 0);
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  return crc >>> 0;
}
