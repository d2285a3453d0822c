/**
 * The 512-byte header block: fields as they stand in it, before any extension is applied.
 *
 * Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format"; star(5).
 */
import { readNumber, readOctal } from './numeric.js';

export const BLOCK_BYTES = 512;

/** `ustar` covers POSIX and PAX, `v7` everything without a known magic. */
export type HeaderFormat = 'v7' | 'ustar' | 'star' | 'gnu';

export interface Header {
  readonly format: HeaderFormat;
  /** With the ustar prefix; latin1. */
  readonly path: string;
  readonly linkPath: string;
  /** One character; NUL is `'\0'`. */
  readonly typeFlag: string;
  /** Numbers are `NaN` where the field is malformed. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly major: number;
  readonly minor: number;
  /** Length of an old GNU sparse file as it reads; only where the type flag is `S`. */
  readonly oldSparseSizeBytes: number | undefined;
}

export function isZeroBlock(bytes: Uint8Array, start: number): boolean {
  for (let i = start; i < start + BLOCK_BYTES; i += 1) if (bytes[i] !== 0) return false;
  return true;
}

/** Reads the block at `start`; undefined when its checksum does not match. */
export function readHeader(bytes: Buffer, start: number): Header | undefined {
  if (!checksumMatches(bytes, start)) return undefined;
  const format = readFormat(bytes, start);
  const hasDevice = format !== 'v7';
  const name = readString(bytes, start, 100);
  const typeFlag = String.fromCharCode(bytes[start + 156] ?? 0);
  const prefixBytes = format === 'ustar' ? 155 : format === 'star' ? 131 : 0;
  const prefix = prefixBytes === 0 ? '' : readString(bytes, start + 345, prefixBytes);
  return {
    format,
    path: prefix === '' ? name : `${prefix}/${name}`,
    linkPath: readString(bytes, start + 157, 100),
    typeFlag,
    mode: readNumber(bytes, start + 100, 8),
    uid: readNumber(bytes, start + 108, 8),
    gid: readNumber(bytes, start + 116, 8),
    sizeBytes: readNumber(bytes, start + 124, 12),
    mtimeSeconds: readNumber(bytes, start + 136, 12),
    major: hasDevice ? readNumber(bytes, start + 329, 8) : 0,
    minor: hasDevice ? readNumber(bytes, start + 337, 8) : 0,
    oldSparseSizeBytes: typeFlag === 'S' ? readNumber(bytes, start + 483, 12) : undefined,
  };
}

/** The text of a field: up to its first NUL; latin1. */
export function readString(bytes: Buffer, start: number, length: number): string {
  let end = start;
  while (end < start + length && bytes[end] !== 0) end += 1;
  return bytes.toString('latin1', start, end);
}

function readFormat(bytes: Buffer, start: number): HeaderFormat {
  const magic = bytes.toString('latin1', start + 257, start + 265);
  if (magic === 'ustar  \0') return 'gnu';
  if (!magic.startsWith('ustar\0')) return 'v7';
  return bytes.toString('latin1', start + 508, start + 512) === 'tar\0' ? 'star' : 'ustar';
}

/** Some old writers summed signed bytes; both sums are accepted, as every reader does. */
function checksumMatches(bytes: Buffer, start: number): boolean {
  const stored = readOctal(bytes, start + 148, 8);
  let sum = 0;
  let high = 0;
  for (let i = start; i < start + BLOCK_BYTES; i += 1) {
    const byte = bytes[i] ?? 0;
    sum += byte;
    high += byte >> 7;
  }
  for (let i = start + 148; i < start + 156; i += 1) {
    const byte = bytes[i] ?? 0;
    sum += 0x20 - byte;
    high -= byte >> 7;
  }
  return stored === sum || stored === sum - high * 256;
}
