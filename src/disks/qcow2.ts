/**
 * The qcow2 overlay: an empty writable disk whose every sector is still read from a backing file.
 *
 * Source: QEMU docs/interop/qcow2.rst, version 3. Written so that nothing but the header changes when
 * an overlay grows: the L1 table is as long as its clusters allow from the start.
 *
 * Bytes in, bytes out; `clone-disk.ts` puts them on disk. Not a general qcow2 reader: a header is only
 * ever read from a path that hearth itself recorded as qcow2, never guessed from the first bytes of a
 * disk, because a guest decides those on a raw disk.
 */
import { HearthError } from '../errors/index.js';

export type DiskFormat = 'raw' | 'qcow2';

/** Bytes that belong at `offset` of a file; what lies between segments is a hole. */
export interface FileSegment {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Qcow2Overlay {
  readonly segments: readonly FileSegment[];
  /** Length of the file, holes included. */
  readonly fileBytes: number;
  /** What the guest sees: the size asked for, rounded up to whole sectors. */
  readonly virtualSizeBytes: number;
}

export interface Qcow2Header {
  readonly virtualSizeBytes: number;
  /** The largest virtual size that the L1 table can address without being moved. */
  readonly maxVirtualSizeBytes: number;
}

const MAGIC = 0x51_46_49_fb;
const VERSION = 3;
const HEADER_BYTES = 112;
const SECTOR_BYTES = 512;
const CLUSTER_BITS = 16;
const CLUSTER_BYTES = 1 << CLUSTER_BITS;
const TABLE_ENTRY_BYTES = 8;
const REFCOUNT_ORDER_16_BITS = 4;
const EXTENSION_BACKING_FORMAT = 0xe2792aca;
const MAX_BACKING_PATH_BYTES = 1023;
/** QEMU refuses a larger L1 table. */
const MAX_L1_BYTES = 32 * 1024 * 1024;

const OFFSET_VIRTUAL_SIZE = 24;
const OFFSET_L1_ENTRIES = 36;

/** Bytes of the header that {@link parseQcow2Header} needs. */
export const QCOW2_HEADER_BYTES = 104;

/** Where {@link encodeVirtualSize} belongs; inside the first sector, so that one write is all or nothing. */
export const QCOW2_VIRTUAL_SIZE_OFFSET = OFFSET_VIRTUAL_SIZE;

/**
 * Lays out an overlay in which nothing has been written yet.
 *
 *     cluster 0   header, extensions, path of the backing file
 *     cluster 1   refcount table: one entry, to cluster 2
 *     cluster 2   refcount block: one reference to each cluster in use
 *     cluster 3…  L1 table, all zero: every read goes to the backing file
 *
 * @param backingPath Absolute path, at most 1023 bytes of UTF-8.
 * @param virtualSizeBytes At least the size of the backing file; beyond its end reads give zeros.
 * @throws {HearthError} `PATH_TOO_LONG`; `SIZE_INVALID` beyond what an L1 table addresses (2 PiB).
 */
export function encodeQcow2Overlay(
  backingPath: string,
  backingFormat: DiskFormat,
  virtualSizeBytes: number,
): Qcow2Overlay {
  const path = Buffer.from(backingPath);
  if (path.byteLength > MAX_BACKING_PATH_BYTES) {
    throw new HearthError(
      'PATH_TOO_LONG',
      `the path of a backing file has at most ${MAX_BACKING_PATH_BYTES} bytes, this one ${path.byteLength}`,
      {
        hint: 'Set HEARTH_HOME to a directory with a shorter path.',
        details: { pathBytes: path.byteLength, maxBytes: MAX_BACKING_PATH_BYTES },
      },
    );
  }
  const sizeBytes = wholeSectors(virtualSizeBytes);
  const bytesPerL1Cluster = addressedBytes(CLUSTER_BYTES / TABLE_ENTRY_BYTES, CLUSTER_BITS);
  const l1Clusters = Math.max(1, Math.ceil(sizeBytes / bytesPerL1Cluster));
  if (
    !(virtualSizeBytes >= 0) ||
    !Number.isSafeInteger(sizeBytes) ||
    l1Clusters * CLUSTER_BYTES > MAX_L1_BYTES
  ) {
    throw new HearthError('SIZE_INVALID', `not the size of a qcow2 disk: ${virtualSizeBytes} bytes`, {
      hint: 'Ask for a smaller disk, for example 32G.',
      details: { virtualSizeBytes },
    });
  }

  const extension = Buffer.alloc(16);
  extension.writeUInt32BE(EXTENSION_BACKING_FORMAT, 0);
  extension.writeUInt32BE(backingFormat.length, 4);
  extension.write(backingFormat, 8, 'ascii');
  const endOfExtensions = Buffer.alloc(8);
  const pathOffset = HEADER_BYTES + extension.byteLength + endOfExtensions.byteLength;

  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt32BE(VERSION, 4);
  header.writeBigUInt64BE(BigInt(pathOffset), 8);
  header.writeUInt32BE(path.byteLength, 16);
  header.writeUInt32BE(CLUSTER_BITS, 20);
  header.writeBigUInt64BE(BigInt(sizeBytes), OFFSET_VIRTUAL_SIZE);
  header.writeUInt32BE((l1Clusters * CLUSTER_BYTES) / TABLE_ENTRY_BYTES, OFFSET_L1_ENTRIES);
  header.writeBigUInt64BE(BigInt(3 * CLUSTER_BYTES), 40);
  header.writeBigUInt64BE(BigInt(CLUSTER_BYTES), 48);
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(REFCOUNT_ORDER_16_BITS, 96);
  header.writeUInt32BE(HEADER_BYTES, 100);

  const refcountTable = Buffer.alloc(TABLE_ENTRY_BYTES);
  refcountTable.writeBigUInt64BE(BigInt(2 * CLUSTER_BYTES));
  const refcounts = Buffer.alloc(2 * (3 + l1Clusters));
  for (let at = 0; at < refcounts.byteLength; at += 2) refcounts.writeUInt16BE(1, at);

  return {
    segments: [
      { offset: 0, bytes: Buffer.concat([header, extension, endOfExtensions, path]) },
      { offset: CLUSTER_BYTES, bytes: refcountTable },
      { offset: 2 * CLUSTER_BYTES, bytes: refcounts },
    ],
    fileBytes: (3 + l1Clusters) * CLUSTER_BYTES,
    virtualSizeBytes: sizeBytes,
  };
}

/**
 * Reads what hearth needs of a qcow2 header.
 *
 * @param bytes The start of the file, {@link QCOW2_HEADER_BYTES} or more.
 * @param path Named in errors.
 * @throws {HearthError} `DISK_FORMAT_INVALID` when it is no version 2 or 3 header or its fields contradict.
 */
export function parseQcow2Header(bytes: Uint8Array, path: string): Qcow2Header {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const invalid = (what: string): HearthError =>
    new HearthError('DISK_FORMAT_INVALID', `${path} is not a qcow2 disk: ${what}`, {
      hint: 'Release the clone of that disk and clone it again.',
      details: { path, what },
    });
  if (view.byteLength < QCOW2_HEADER_BYTES) throw invalid(`only ${view.byteLength} bytes`);
  if (view.readUInt32BE(0) !== MAGIC) throw invalid('wrong magic number');
  const version = view.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw invalid(`version ${version}`);
  const clusterBits = view.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw invalid(`clusters of 2^${clusterBits} bytes`);
  const virtualSizeBytes = Number(view.readBigUInt64BE(OFFSET_VIRTUAL_SIZE));
  if (!Number.isSafeInteger(virtualSizeBytes)) throw invalid('its size is beyond 2^53 bytes');
  const maxVirtualSizeBytes = addressedBytes(view.readUInt32BE(OFFSET_L1_ENTRIES), clusterBits);
  if (virtualSizeBytes > maxVirtualSizeBytes) {
    throw invalid(`its L1 table addresses ${maxVirtualSizeBytes} of ${virtualSizeBytes} bytes`);
  }
  return { virtualSizeBytes, maxVirtualSizeBytes };
}

/** The header field for a new virtual size, in whole sectors of 512 bytes. */
export function encodeVirtualSize(virtualSizeBytes: number): Uint8Array {
  const field = Buffer.alloc(8);
  field.writeBigUInt64BE(BigInt(wholeSectors(virtualSizeBytes)));
  return field;
}

/** A qcow2 disk is whole sectors of 512 bytes: the size it has when `sizeBytes` are asked for. */
export function wholeSectors(sizeBytes: number): number {
  return Math.ceil(sizeBytes / SECTOR_BYTES) * SECTOR_BYTES;
}

function addressedBytes(l1Entries: number, clusterBits: number): number {
  const clusterBytes = 2 ** clusterBits;
  return l1Entries * (clusterBytes / TABLE_ENTRY_BYTES) * clusterBytes;
}
