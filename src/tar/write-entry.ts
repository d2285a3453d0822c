/**
 * The bytes of an archive around its contents: a ustar header for each entry, with a PAX header before it for
 * what does not fit.
 *
 * Source: POSIX.1-2017, pax; SCHILY.xattr from star. Values are written as bytes, as Go's archive/tar and GNU
 * tar do, so that names that are not UTF-8 survive.
 */
import type { TarEntryKind, TarTimestamp } from './entry.js';
import { BLOCK_BYTES } from './header.js';

export interface NewTarEntry {
  /** latin1: one character a byte. A directory's may end in a slash and gets one otherwise. */
  readonly path: string;
  readonly kind: TarEntryKind;
  /** latin1; of symlinks and hard links. */
  readonly linkTarget?: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: TarTimestamp;
  readonly major?: number;
  readonly minor?: number;
  /** Of a file: how many bytes follow, then {@link tarPadding}. */
  readonly sizeBytes?: number;
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

const TYPE_FLAGS: Readonly<Record<TarEntryKind, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};
const NAME_BYTES = 100;
const MAX_OCTAL_7 = 0o7777777;
const MAX_OCTAL_11 = 0o77777777777;

/** Two zero blocks. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK_BYTES);

/** Zeros that follow a body of so many bytes. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** All that stands before the body. */
export function encodeTarEntry(entry: NewTarEntry): Buffer {
  const path = entry.kind === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path;
  const fields = { ...entry, path, sizeBytes: entry.kind === 'file' ? (entry.sizeBytes ?? 0) : 0 };
  const records = paxRecords(fields);
  const header = encodeHeader(fields, TYPE_FLAGS[entry.kind]);
  if (records.length === 0) return header;
  const body = Buffer.concat(records);
  const pax = encodeHeader(
    {
      path: `PaxHeaders/${path.replace(/\/+$/, '').split('/').at(-1) ?? ''}`,
      kind: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtime: { seconds: 0, nanoseconds: 0 },
      sizeBytes: body.byteLength,
    },
    'x',
  );
  return Buffer.concat([pax, body, tarPadding(body.byteLength), header]);
}

function paxRecords(entry: NewTarEntry & { readonly sizeBytes: number }): Buffer[] {
  const { path, linkTarget = '', mtime, uid, gid, sizeBytes, xattrs } = entry;
  const records: Buffer[] = [];
  if (path.length > NAME_BYTES) records.push(paxRecord('path', path));
  if (linkTarget.length > NAME_BYTES) records.push(paxRecord('linkpath', linkTarget));
  if (sizeBytes > MAX_OCTAL_11) records.push(paxRecord('size', String(sizeBytes)));
  if (uid > MAX_OCTAL_7) records.push(paxRecord('uid', String(uid)));
  if (gid > MAX_OCTAL_7) records.push(paxRecord('gid', String(gid)));
  if (mtime.nanoseconds !== 0 || mtime.seconds < 0 || mtime.seconds > MAX_OCTAL_11) {
    records.push(paxRecord('mtime', paxTime(mtime)));
  }
  for (const [name, value] of xattrs ?? []) {
    records.push(paxRecord(`SCHILY.xattr.${name}`, Buffer.from(value).toString('latin1')));
  }
  return records;
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.from(`${length}${rest}`, 'latin1');
}

/** Before 1970 the fraction counts backwards: -1.5 is one and a half seconds before it. */
function paxTime({ seconds, nanoseconds }: TarTimestamp): string {
  const total = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  const size = total < 0n ? -total : total;
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${total < 0n ? '-' : ''}${size / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`;
}

function encodeHeader(entry: NewTarEntry, typeFlag: string): Buffer {
  const { path, linkTarget = '', mode, uid, gid, mtime, major = 0, minor = 0, sizeBytes = 0 } = entry;
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number, most: number): void => {
    block.write(
      `${(value >= 0 && value <= most ? value : 0).toString(8).padStart(digits, '0')}\0`,
      at,
      'latin1',
    );
  };
  block.write(path.slice(0, NAME_BYTES), 0, 'latin1');
  octal(mode, 100, 7, MAX_OCTAL_7);
  octal(uid, 108, 7, MAX_OCTAL_7);
  octal(gid, 116, 7, MAX_OCTAL_7);
  octal(sizeBytes, 124, 11, MAX_OCTAL_11);
  octal(mtime.seconds, 136, 11, MAX_OCTAL_11);
  block.write('        ', 148, 'latin1');
  block.write(typeFlag, 156, 'latin1');
  block.write(linkTarget.slice(0, NAME_BYTES), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(major, 329, 7, MAX_OCTAL_7);
  octal(minor, 337, 7, MAX_OCTAL_7);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
