/** The two things hearth does to a qcow2 file that exists: read its size and grow it. */
import { open } from 'node:fs/promises';
import { HearthError } from '../errors/index.js';
import { onDisk } from './disk-error.js';
import {
  encodeVirtualSize,
  parseQcow2Header,
  QCOW2_HEADER_BYTES,
  QCOW2_VIRTUAL_SIZE_OFFSET,
  type Qcow2Header,
} from './qcow2.js';
import { shrinkRefused } from './resize-ext4.js';

/** @throws {HearthError} `DISK_FORMAT_INVALID` when the file is not qcow2. */
export async function readVirtualSize(path: string): Promise<number> {
  return (await readHeader(path)).virtualSizeBytes;
}

/**
 * Makes a qcow2 disk that no VM has open larger, in place: 8 bytes of the header, all or nothing.
 *
 * @throws {HearthError} `DISK_SHRINK_REFUSED`; `SIZE_INVALID` beyond what its L1 table addresses.
 */
export async function growQcow2(path: string, targetBytes: number): Promise<void> {
  const { virtualSizeBytes, maxVirtualSizeBytes } = await readHeader(path);
  if (targetBytes < virtualSizeBytes) throw shrinkRefused(path, virtualSizeBytes, targetBytes);
  if (targetBytes > maxVirtualSizeBytes) {
    throw new HearthError(
      'SIZE_INVALID',
      `${path} can grow to ${maxVirtualSizeBytes} bytes, not ${targetBytes}`,
      {
        hint: 'Release the clone and make a new one of that size.',
        details: { path, targetBytes, maxVirtualSizeBytes },
      },
    );
  }
  const field = encodeVirtualSize(targetBytes);
  await onDisk(path, async () => {
    const file = await open(path, 'r+');
    try {
      await file.write(field, 0, field.byteLength, QCOW2_VIRTUAL_SIZE_OFFSET);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

async function readHeader(path: string): Promise<Qcow2Header> {
  return onDisk(path, async () => {
    const file = await open(path, 'r');
    try {
      const header = Buffer.alloc(QCOW2_HEADER_BYTES);
      const { bytesRead } = await file.read(header, 0, header.byteLength, 0);
      return parseQcow2Header(header.subarray(0, bytesRead), path);
    } finally {
      await file.close();
    }
  });
}
