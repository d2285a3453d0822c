/**
 * Names in a directory. The blocks of an index look like blocks without names to who reads them one by one, so
 * that hashed directories need nothing of their own.
 * Source: Linux 6.12, Documentation/filesystems/ext4/directory.rst.
 */
import { damaged } from './problem.js';

export interface DirectoryEntry {
  /** latin1: one character a byte. */
  readonly name: string;
  readonly inode: number;
}

const HEADER_BYTES = 8;

/** The names in one block, without `.` and `..`. @throws {HearthError} `FILE_SYSTEM_INVALID`. */
export function* directoryEntries(block: Buffer, directory: number): Generator<DirectoryEntry> {
  let at = 0;
  while (at < block.byteLength) {
    const left = block.byteLength - at;
    const inode = left < HEADER_BYTES ? 0 : block.readUInt32LE(at);
    const length = left < HEADER_BYTES ? 0 : recordLength(block.readUInt16LE(at + 4), block.byteLength);
    const nameBytes = left < HEADER_BYTES ? 0 : (block[at + 6] ?? 0);
    if (length < HEADER_BYTES || length % 4 !== 0 || length > left || HEADER_BYTES + nameBytes > length) {
      throw damaged(`a name in the directory with inode ${directory}`, { inode: directory, offset: at });
    }
    const name = block.toString('latin1', at + HEADER_BYTES, at + HEADER_BYTES + nameBytes);
    at += length;
    if (inode === 0 || name === '.' || name === '..') continue;
    if (name === '' || name.includes('/') || name.includes('\0')) {
      throw damaged(`the name ${JSON.stringify(name)} in a directory`, { inode: directory });
    }
    yield { name, inode };
  }
}

/** A length of 64 KiB does not fit into 16 bits. */
function recordLength(stored: number, blockBytes: number): number {
  return blockBytes === 65_536 && (stored === 0xffff || stored === 0) ? blockBytes : stored;
}
