/** Tar archives for tests, byte by byte: honest ones in one line, dishonest ones by naming the field that lies. */

const BLOCK = 512;

export interface EntrySpec {
  readonly path: string;
  /** Type flag. Default `0`; directories are `5`, symlinks `2`, hard links `1`. */
  readonly type?: string;
  readonly body?: string | Uint8Array;
  readonly linkTarget?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  /** The size field, when it is not the body's length. */
  readonly size?: number;
  /** Records of a PAX header in front, values as bytes (latin1). */
  readonly pax?: Readonly<Record<string, string>>;
  /** Fields written as they are, latin1, over what the rest gives: offset → text. The checksum is computed after that. */
  readonly raw?: Readonly<Record<number, string>>;
  /** `ustar` (default), `gnu` or `v7`. */
  readonly format?: 'ustar' | 'gnu' | 'v7';
  readonly badChecksum?: boolean;
}

const MAGIC = { ustar: 'ustar\x0000', gnu: 'ustar  \0', v7: '' } as const;

/** Bytes of a latin1 string. */
export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function pad(bytes: Uint8Array): Buffer {
  const rest = (BLOCK - (bytes.byteLength % BLOCK)) % BLOCK;
  return Buffer.concat([bytes, Buffer.alloc(rest)]);
}

/** An octal field; what does not fit becomes base-256. */
export function numberField(value: number, length: number): Buffer {
  const octal = value >= 0 ? value.toString(8) : '';
  if (value >= 0 && octal.length < length) return latin1(`${octal.padStart(length - 1, '0')}\0`);
  const field = Buffer.alloc(length, value < 0 ? 0xff : 0);
  field.writeBigInt64BE(BigInt(value), length - 8);
  field[0] = (field[0] ?? 0) | 0x80;
  return field;
}

/** One header block. */
export function header(spec: EntrySpec, sizeBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const put = (offset: number, bytes: Buffer, length: number): void => {
    bytes.copy(block, offset, 0, Math.min(bytes.byteLength, length));
  };
  const format = spec.format ?? 'ustar';
  put(0, latin1(spec.path), 100);
  put(100, numberField(spec.mode ?? 0o644, 8), 8);
  put(108, numberField(spec.uid ?? 0, 8), 8);
  put(116, numberField(spec.gid ?? 0, 8), 8);
  put(124, numberField(spec.size ?? sizeBytes, 12), 12);
  put(136, numberField(spec.mtime ?? 0, 12), 12);
  put(156, latin1(spec.type ?? '0'), 1);
  put(157, latin1(spec.linkTarget ?? ''), 100);
  put(257, latin1(MAGIC[format]), 8);
  if (format !== 'v7') {
    put(329, numberField(spec.major ?? 0, 8), 8);
    put(337, numberField(spec.minor ?? 0, 8), 8);
  }
  for (const [offset, text] of Object.entries(spec.raw ?? {})) put(Number(offset), latin1(text), text.length);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0) + (spec.badChecksum === true ? 1 : 0);
  put(148, latin1(`${sum.toString(8).padStart(6, '0')}\0 `), 8);
  return block;
}

/** The records of a PAX header. */
export function paxRecords(
  records: Readonly<Record<string, string>> | ReadonlyArray<[string, string]>,
): Buffer {
  const pairs = Array.isArray(records) ? records : Object.entries(records);
  return Buffer.concat(pairs.map(([key, value]) => paxRecord(key, value)));
}

function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`.length;
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return latin1(`${length} ${key}=${value}\n`);
}

/** An extended header of type `x`, `g`, `L` or `K` with its body. */
export function extension(type: string, body: Uint8Array, spec: Partial<EntrySpec> = {}): Buffer {
  return Buffer.concat([header({ path: '././@Ext', type, ...spec }, body.byteLength), pad(body)]);
}

/** One entry with its extensions and body, padded. */
export function entry(spec: EntrySpec): Buffer {
  const body = typeof spec.body === 'string' ? latin1(spec.body) : (spec.body ?? new Uint8Array(0));
  const records: Record<string, string> = { ...spec.pax };
  if (spec.path.length > 100 && records.path === undefined) records.path = spec.path;
  if ((spec.linkTarget?.length ?? 0) > 100 && records.linkpath === undefined) {
    records.linkpath = spec.linkTarget ?? '';
  }
  const pax = Object.keys(records).length === 0 ? [] : [extension('x', paxRecords(records))];
  return Buffer.concat([...pax, header(spec, body.byteLength), pad(body)]);
}

export const END = Buffer.alloc(2 * BLOCK);

/** A whole archive. Pieces may be specs or ready bytes. */
export function tar(...pieces: ReadonlyArray<EntrySpec | Buffer>): Buffer {
  return Buffer.concat([...pieces.map((piece) => (Buffer.isBuffer(piece) ? piece : entry(piece))), END]);
}

export const dir = (path: string, more: Partial<EntrySpec> = {}): EntrySpec => ({
  path: `${path}/`,
  type: '5',
  mode: 0o755,
  ...more,
});
export const file = (
  path: string,
  body: string | Uint8Array = '',
  more: Partial<EntrySpec> = {},
): EntrySpec => ({
  path,
  body,
  ...more,
});
export const symlink = (path: string, linkTarget: string, more: Partial<EntrySpec> = {}): EntrySpec => ({
  path,
  type: '2',
  linkTarget,
  mode: 0o777,
  ...more,
});
export const hardlink = (path: string, linkTarget: string, more: Partial<EntrySpec> = {}): EntrySpec => ({
  path,
  type: '1',
  linkTarget,
  ...more,
});
export const whiteout = (path: string): EntrySpec => {
  const slash = path.lastIndexOf('/') + 1;
  return { path: `${path.slice(0, slash)}.wh.${path.slice(slash)}` };
};
export const opaque = (directory: string): EntrySpec => ({
  path: directory === '' ? '.wh..wh..opq' : `${directory}/.wh..wh..opq`,
});
