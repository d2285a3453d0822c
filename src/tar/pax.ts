/**
 * PAX extended headers: the records before an entry that override its ustar fields.
 *
 * Source: POSIX.1-2017, pax, "pax Extended Header"; SCHILY.xattr from star, LIBARCHIVE.xattr from libarchive,
 * GNU.sparse from GNU tar. Values are bytes: names need not be UTF-8 and attributes are binary.
 */
import type { TarTimestamp } from './entry.js';
import { parseDecimal, readDecimalUntil } from './numeric.js';

const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;
const SCHILY_XATTR = 'SCHILY.xattr.';
const LIBARCHIVE_XATTR = 'LIBARCHIVE.xattr.';

/** What one extended header says about the entry that follows. Absent: the entry's own header counts. */
export interface PaxHeader {
  path?: string;
  linkPath?: string;
  sizeBytes?: number;
  uid?: number;
  gid?: number;
  mtime?: TarTimestamp;
  xattrs?: Map<string, Uint8Array>;
  sparse?: PaxSparse;
}

/** The GNU.sparse records, formats 0.0, 0.1 and 1.0. */
export interface PaxSparse {
  major?: string;
  minor?: string;
  name?: string;
  /** Length of the file as it reads. */
  realSizeBytes?: number;
  /** Offset, length, offset, length, … of formats 0.0 and 0.1. */
  map?: number[];
}

/**
 * Parses the records of one extended header.
 *
 * @param bytes The whole body; values are copied out of it.
 * @returns The header, or the reason (text) why it is malformed.
 */
export function parsePax(bytes: Buffer): PaxHeader | string {
  const header: PaxHeader = {};
  let position = 0;
  while (position < bytes.byteLength) {
    const length = readDecimalUntil(bytes, position, SPACE);
    if (length === undefined || Number.isNaN(length.value)) return 'PAX record without a length';
    const end = position + length.value;
    if (end <= length.next || end > bytes.byteLength) return 'PAX record longer or shorter than its header';
    if (bytes[end - 1] !== NEWLINE) return 'PAX record does not end in a newline';
    const equals = bytes.indexOf(EQUALS, length.next);
    if (equals === -1 || equals >= end || equals === length.next) return 'PAX record without a key';
    const key = bytes.toString('latin1', length.next, equals);
    if (key.includes('\0')) return 'PAX key with a NUL';
    const problem = applyRecord(header, key, bytes.subarray(equals + 1, end - 1));
    if (problem !== undefined) return problem;
    position = end;
  }
  return header;
}

function applyRecord(header: PaxHeader, key: string, value: Buffer): string | undefined {
  if (key.startsWith(SCHILY_XATTR)) {
    return setXattr(header, key.slice(SCHILY_XATTR.length), value, true);
  }
  if (key.startsWith(LIBARCHIVE_XATTR)) {
    const name = percentDecoded(key.slice(LIBARCHIVE_XATTR.length));
    return setXattr(header, name, Buffer.from(value.toString('latin1'), 'base64'), false);
  }
  if (key.startsWith('GNU.sparse.')) return applySparse(header, key.slice('GNU.sparse.'.length), value);
  const text = value.toString('latin1');
  switch (key) {
    case 'path':
      return setName(header, 'path', text);
    case 'linkpath':
      return setName(header, 'linkPath', text);
    case 'size':
      return setNumber(header, 'sizeBytes', text, Number.MAX_SAFE_INTEGER);
    case 'uid':
      return setNumber(header, 'uid', text, 0xffff_ffff);
    case 'gid':
      return setNumber(header, 'gid', text, 0xffff_ffff);
    case 'mtime':
      return setTime(header, text);
    default:
      return undefined;
  }
}

function setName(header: PaxHeader, field: 'path' | 'linkPath', text: string): string | undefined {
  if (text.includes('\0')) return `PAX ${field.toLowerCase()} with a NUL`;
  // An empty value takes an earlier record back.
  if (text === '') delete header[field];
  else header[field] = text;
  return undefined;
}

function setNumber(
  header: PaxHeader,
  field: 'sizeBytes' | 'uid' | 'gid',
  text: string,
  max: number,
): string | undefined {
  if (text === '') {
    delete header[field];
    return undefined;
  }
  const value = parseDecimal(text);
  if (!(value >= 0 && value <= max)) return `PAX ${field} out of range`;
  header[field] = value;
  return undefined;
}

function setTime(header: PaxHeader, text: string): string | undefined {
  if (text === '') {
    delete header.mtime;
    return undefined;
  }
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (match === null) return 'PAX mtime is not a time';
  const whole = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] === '') header.mtime = { seconds: whole, nanoseconds };
  else if (nanoseconds === 0) header.mtime = { seconds: 0 - whole, nanoseconds };
  else header.mtime = { seconds: -whole - 1, nanoseconds: 1e9 - nanoseconds };
  return undefined;
}

/** @param wins SCHILY's raw bytes count where libarchive wrote the same attribute in both forms. */
function setXattr(header: PaxHeader, name: string, value: Buffer, wins: boolean): string | undefined {
  if (name === '') return 'extended attribute without a name';
  header.xattrs ??= new Map();
  if (wins || !header.xattrs.has(name)) header.xattrs.set(name, new Uint8Array(value));
  return undefined;
}

function percentDecoded(text: string): string {
  return text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

function applySparse(header: PaxHeader, key: string, value: Buffer): string | undefined {
  header.sparse ??= {};
  const sparse = header.sparse;
  const text = value.toString('latin1');
  switch (key) {
    case 'major':
      sparse.major = text;
      return undefined;
    case 'minor':
      sparse.minor = text;
      return undefined;
    case 'name':
      if (text.includes('\0')) return 'GNU.sparse.name with a NUL';
      sparse.name = text;
      return undefined;
    case 'size':
    case 'realsize': {
      const size = parseDecimal(text);
      if (!(size >= 0)) return 'GNU.sparse size out of range';
      sparse.realSizeBytes = size;
      return undefined;
    }
    case 'map': {
      const map = text === '' ? [] : text.split(',').map(parseDecimal);
      if (map.length % 2 !== 0 || map.some(Number.isNaN)) return 'GNU.sparse.map is malformed';
      sparse.map = map;
      return undefined;
    }
    case 'offset':
    case 'numbytes': {
      sparse.map ??= [];
      const number = parseDecimal(text);
      const expectsOffset = sparse.map.length % 2 === 0;
      if (Number.isNaN(number) || expectsOffset !== (key === 'offset'))
        return 'GNU.sparse records out of order';
      sparse.map.push(number);
      return undefined;
    }
    default:
      return undefined;
  }
}
