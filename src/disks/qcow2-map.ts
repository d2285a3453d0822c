/** Where a qcow2 file keeps what, cluster by cluster. Source: QEMU docs/interop/qcow2.rst, version 3. */
import type { FileHandle } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { HearthError } from '../errors/index.js';
import { type DiskFormat, parseQcow2Header } from './qcow2.js';

/** A piece of the disk: an offset in this file, nothing but zeros, or whatever the backing file has. */
export interface LocatedBytes {
  readonly at: number | 'zeros' | 'backing';
  /** From the position asked for; at least one. */
  readonly bytes: number;
}

const HEAD_BYTES = 4096;
const MAX_L1_BYTES = 32 * 1024 * 1024;
const ENTRY_BYTES = 8;
const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;
const ZERO = 1n;
/** Not shut down in order: only reference counts may be wrong, which nobody reads here. */
const INCOMPATIBLE_DIRTY = 1n;
const EXTENSION_BACKING_FORMAT = 0xe2792aca;
const CACHED_TABLES = 64;

export class Qcow2Map {
  readonly sizeBytes: number;
  readonly backing: { readonly path: string; readonly format: DiskFormat } | undefined;
  readonly #path: string;
  readonly #clusterBytes: number;
  readonly #l1: Buffer;
  readonly #tables = new Map<number, Buffer>();

  private constructor(
    path: string,
    sizeBytes: number,
    clusterBytes: number,
    l1: Buffer,
    backing: Qcow2Map['backing'],
  ) {
    this.#path = path;
    this.sizeBytes = sizeBytes;
    this.#clusterBytes = clusterBytes;
    this.#l1 = l1;
    this.backing = backing;
  }

  /** @throws {HearthError} `DISK_FORMAT_INVALID`. */
  static async open(file: FileHandle, path: string): Promise<Qcow2Map> {
    const buffer = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(buffer, 0, HEAD_BYTES, 0);
    const head = buffer.subarray(0, bytesRead);
    const { virtualSizeBytes } = parseQcow2Header(head, path);
    const version = head.readUInt32BE(4);
    if (head.readUInt32BE(32) !== 0) throw invalid(path, 'it is encrypted');
    const incompatible = version === 2 ? 0n : head.readBigUInt64BE(72) & ~INCOMPATIBLE_DIRTY;
    if (incompatible !== 0n) throw invalid(path, `features 0x${incompatible.toString(16)}`);
    const clusterBytes = 2 ** head.readUInt32BE(20);
    const l1Bytes = head.readUInt32BE(36) * ENTRY_BYTES;
    if (l1Bytes > MAX_L1_BYTES) throw invalid(path, `a table of ${l1Bytes} bytes`);
    const l1 = Buffer.alloc(l1Bytes);
    await file.read(l1, 0, l1Bytes, Number(head.readBigUInt64BE(40) & OFFSET_MASK));
    return new Qcow2Map(path, virtualSizeBytes, clusterBytes, l1, backingOf(head, path));
  }

  /** Where the bytes at `position` are, and how many of `most` lie together there. */
  async locate(file: FileHandle, position: number, most: number): Promise<LocatedBytes> {
    const inCluster = position % this.#clusterBytes;
    const bytes = Math.min(most, this.#clusterBytes - inCluster);
    const cluster = (position - inCluster) / this.#clusterBytes;
    const perTable = this.#clusterBytes / ENTRY_BYTES;
    const l1At = Math.floor(cluster / perTable) * ENTRY_BYTES;
    if (position >= this.sizeBytes || l1At >= this.#l1.byteLength) return { at: 'zeros', bytes };
    const tableAt = Number(this.#l1.readBigUInt64BE(l1At) & OFFSET_MASK);
    if (tableAt === 0) return { at: 'backing', bytes };
    const entry = (await this.#table(file, tableAt)).readBigUInt64BE((cluster % perTable) * ENTRY_BYTES);
    if ((entry & COMPRESSED) !== 0n) throw invalid(this.#path, 'it has compressed clusters');
    if ((entry & ZERO) !== 0n) return { at: 'zeros', bytes };
    const offset = Number(entry & OFFSET_MASK);
    return offset === 0 ? { at: 'backing', bytes } : { at: offset + inCluster, bytes };
  }

  async #table(file: FileHandle, at: number): Promise<Buffer> {
    const cached = this.#tables.get(at);
    if (cached !== undefined) return cached;
    const table = Buffer.alloc(this.#clusterBytes);
    await file.read(table, 0, table.byteLength, at);
    if (this.#tables.size >= CACHED_TABLES) this.#tables.clear();
    this.#tables.set(at, table);
    return table;
  }
}

function backingOf(head: Buffer, path: string): Qcow2Map['backing'] {
  const at = Number(head.readBigUInt64BE(8));
  const bytes = head.readUInt32BE(16);
  if (at === 0) return undefined;
  if (at + bytes > head.byteLength || bytes > 1023) throw invalid(path, 'the path of its backing file');
  const backing = head.toString('utf8', at, at + bytes);
  const format = backingFormat(head, at);
  // Never guessed: what a guest writes to a raw disk may look like any format.
  if (!isAbsolute(backing) || format === undefined)
    throw invalid(path, 'its backing file has no path or format');
  return { path: backing, format };
}

function backingFormat(head: Buffer, end: number): DiskFormat | undefined {
  let at = head.readUInt32BE(4) === 2 ? 72 : head.readUInt32BE(100);
  while (at + 8 <= Math.min(end, head.byteLength)) {
    const type = head.readUInt32BE(at);
    const bytes = head.readUInt32BE(at + 4);
    if (type === 0) return undefined;
    if (type === EXTENSION_BACKING_FORMAT) {
      const format = head.toString('latin1', at + 8, at + 8 + bytes);
      return format === 'raw' || format === 'qcow2' ? format : undefined;
    }
    at += 8 + Math.ceil(bytes / 8) * 8;
  }
  return undefined;
}

function invalid(path: string, what: string): HearthError {
  return new HearthError('DISK_FORMAT_INVALID', `${path} cannot be read as qcow2: ${what}`, {
    hint: 'Remove the sandbox and create it again.',
    details: { path, what },
  });
}
