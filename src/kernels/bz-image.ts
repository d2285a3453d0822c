/**
 * The bzImage: the form in which distributions ship a Linux kernel, a boot stub around a compressed ELF file.
 *
 * Source: Linux 6.1, Documentation/x86/boot.rst, "Details of Header Fields".
 */
import { HearthError } from '../errors/index.js';

const SETUP_SECTORS_AT = 0x1f1;
const MAGIC_AT = 0x202;
const HEADER_END = 0x264;
const SECTOR_BYTES = 512;
const DEFAULT_SETUP_SECTORS = 4;
/** Boot protocol 2.08 brought payload_offset and payload_length (Linux 2.6.26). */
const MIN_PROTOCOL = 0x0208;

export interface BzImagePayload {
  /**
   * The compressed kernel, a view into the input. Its last four bytes are the size of the kernel: gzip's
   * own trailer, or appended by the builder to every other format.
   */
  readonly payload: Uint8Array;
  /** That size, in bytes; a claim of the file. */
  readonly expandedBytes: number;
}

/** Whether the file calls itself a bzImage (`HdrS`). */
export function isBzImage(bytes: Uint8Array): boolean {
  return (
    bytes.byteLength >= HEADER_END &&
    Buffer.from(bytes.subarray(MAGIC_AT, MAGIC_AT + 4)).toString('latin1') === 'HdrS'
  );
}

/**
 * Finds the compressed kernel inside a bzImage.
 *
 * @throws {HearthError} `KERNEL_INVALID` when the header points outside the file or is older than 2.08.
 */
export function readBzImage(bytes: Uint8Array): BzImagePayload {
  const fail = (why: string): HearthError =>
    new HearthError('KERNEL_INVALID', `not a usable bzImage: ${why}`, {
      hint: 'Give the vmlinuz of a distribution, or an uncompressed vmlinux.',
      details: { why, sizeBytes: bytes.byteLength },
    });
  if (!isBzImage(bytes)) throw fail('no boot header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const protocol = view.getUint16(0x206, true);
  if (protocol < MIN_PROTOCOL) throw fail(`boot protocol ${protocol.toString(16)}, at least 208 is needed`);

  const setupSectors = view.getUint8(SETUP_SECTORS_AT) || DEFAULT_SETUP_SECTORS;
  const start = (setupSectors + 1) * SECTOR_BYTES + view.getUint32(0x248, true);
  const payloadBytes = view.getUint32(0x24c, true);
  if (payloadBytes <= 4 || start + payloadBytes > bytes.byteLength) {
    throw fail(`payload of ${payloadBytes} bytes at ${start} in a file of ${bytes.byteLength}`);
  }
  return {
    payload: bytes.subarray(start, start + payloadBytes),
    expandedBytes: view.getUint32(start + payloadBytes - 4, true),
  };
}
