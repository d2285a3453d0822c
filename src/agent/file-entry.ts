/** Files of the guest as values: what a record of the wire says, checked. */
import {
  decodePayload,
  encodePayload,
  FILE_ENTRY,
  type FILE_STATUS,
  MAX_FILE_ENTRY_BYTES,
  type ValueOf,
} from '../protocol/index.js';
import type { ByteReader } from './byte-reader.js';
import { protocolError } from './errors.js';

export type GuestFileKind = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket';

export interface GuestFile {
  readonly kind: GuestFileKind;
  /** Permission bits with set-id and sticky, 0..0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly inode: bigint;
  readonly linkCount: number;
  /** What a symbolic link points to, as bytes of the guest; empty otherwise. */
  readonly target: Uint8Array;
}

/** An entry of a directory (its name) or of a tree (its path below the root, empty for the root itself). */
export interface GuestEntry extends GuestFile {
  /** Bytes of the guest, not always valid UTF-8. */
  readonly path: Uint8Array;
}

const KIND_BITS: Readonly<Record<GuestFileKind, number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};
const KINDS = new Map(Object.entries(KIND_BITS).map(([kind, bits]) => [bits, kind as GuestFileKind]));
const encoder = new TextEncoder();

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? encoder.encode(value) : value;
}

/** Throws `AGENT_PROTOCOL_INVALID` for a file of no kind. */
export function guestFileOf(status: ValueOf<typeof FILE_STATUS>): GuestFile {
  const kind = KINDS.get(status.mode & 0o170000);
  if (kind === undefined || status.mode > 0o177777) {
    throw protocolError('file of an unknown kind', { mode: status.mode });
  }
  return {
    ...status,
    kind,
    mode: status.mode & 0o7777,
    mtimeNs: BigInt.asIntN(64, status.mtimeNs),
    target: bytesOf(status.target),
  };
}

/** Reads the next entry of a list or tree; undefined at a length of 0 or, for a list, the stream's end. */
export async function readEntry(reader: ByteReader): Promise<GuestEntry | undefined> {
  const head = await reader.exactly(4);
  if (head === undefined) return undefined;
  const lengthBytes = new DataView(head.buffer).getUint32(0);
  if (lengthBytes === 0) return undefined;
  if (lengthBytes > MAX_FILE_ENTRY_BYTES) throw protocolError('entry of a file is too long', { lengthBytes });
  const bytes = await reader.exactly(lengthBytes);
  if (bytes === undefined) throw protocolError('a stream of files ends amid an entry');
  const { path, status } = decodePayload(FILE_ENTRY, bytes);
  return { ...guestFileOf(status), path: bytesOf(path) };
}

/** What an entry of a tree to be written must say; the rest has defaults (root, now). */
export interface NewEntry {
  readonly path: string | Uint8Array;
  readonly kind: Exclude<GuestFileKind, 'socket'>;
  readonly mode: number;
  readonly sizeBytes?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeNs?: bigint;
  readonly target?: string | Uint8Array;
  /** Of a `file`: one more name of the file of that path, which stands earlier in the tree. It has no bytes then. */
  readonly hardLinkTo?: string | Uint8Array;
  readonly deviceMajor?: number;
  readonly deviceMinor?: number;
}

/** The entry with its length before it. */
export function encodeEntry(entry: NewEntry): Uint8Array {
  const body = encodePayload(FILE_ENTRY, {
    path: entry.path,
    status: {
      mode: KIND_BITS[entry.kind] | (entry.mode & 0o7777),
      uid: entry.uid ?? 0,
      gid: entry.gid ?? 0,
      sizeBytes: entry.kind === 'file' && entry.hardLinkTo === undefined ? (entry.sizeBytes ?? 0) : 0,
      mtimeNs: BigInt.asUintN(64, entry.mtimeNs ?? 0n),
      deviceMajor: entry.deviceMajor ?? 0,
      deviceMinor: entry.deviceMinor ?? 0,
      inode: 0n,
      linkCount: 1,
      target: (entry.kind === 'file' ? entry.hardLinkTo : entry.target) ?? '',
    },
  });
  const framed = new Uint8Array(4 + body.byteLength);
  new DataView(framed.buffer).setUint32(0, body.byteLength);
  framed.set(body, 4);
  return framed;
}
