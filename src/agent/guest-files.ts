/** Files of the guest, one request each; `guest-tree.ts` moves whole directories. */
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { HearthError } from '../errors/index.js';
import {
  ENTRY_COUNT,
  FILE_ATTRIBUTES,
  FILE_LIST,
  FILE_MKDIR,
  FILE_READ,
  FILE_REMOVE,
  FILE_RENAME,
  FILE_STAT,
  FILE_STATUS,
  FILE_SYMLINK,
  FILE_WRITE,
  KEEP,
  REMOVE_FLAGS,
  record,
  STAT_FLAGS,
  WRITE_FLAGS,
} from '../protocol/index.js';
import { ByteReader } from './byte-reader.js';
import type { AgentConnection, CallOptions } from './connection.js';
import { protocolError } from './errors.js';
import { type GuestEntry, type GuestFile, guestFileOf, readEntry } from './file-entry.js';
import { type NewTreeItem, readTree, type TreeItem, writeTree } from './guest-tree.js';
import { Transfer } from './transfer.js';

const NOTHING = record({});
const MAX_LENGTH = 2n ** 64n - 1n;
const DEFAULT_MAX_ENTRIES = 1_000_000;

/** An absolute path of the guest; as bytes when it is not valid UTF-8. */
export type GuestPath = string | Uint8Array;

/** What is absent stays as it is; a new file is root's with the mode 0644, a directory 0755. */
export interface FileAttributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeNs?: bigint;
}

export interface WriteFileOptions extends CallOptions, FileAttributes {
  /** Create missing parent directories (0755). */
  readonly parents?: boolean;
  /** Fail with `GUEST_FILE_EXISTS` when the file is there. */
  readonly exclusive?: boolean;
  /** Write into the file instead of replacing it whole: for /proc, /sys and devices. */
  readonly inPlace?: boolean;
  /** Return only when the content is on the disk. */
  readonly sync?: boolean;
}

function wireAttributes({ mode = KEEP, uid = KEEP, gid = KEEP, mtimeNs = 0n }: FileAttributes): {
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: bigint;
} {
  return { mode, uid, gid, mtimeNs: BigInt.asUintN(64, mtimeNs) };
}

async function readEntries(reader: ByteReader, maxEntries: number): Promise<GuestEntry[]> {
  const entries: GuestEntry[] = [];
  for (let entry = await readEntry(reader); entry !== undefined; entry = await readEntry(reader)) {
    if (entries.length >= maxEntries) {
      throw new HearthError('ENTRIES_TOO_MANY', `a directory of more than ${maxEntries} entries`, {
        hint: 'List a directory further down, or raise the limit.',
        details: { maxEntries },
      });
    }
    entries.push(entry);
  }
  return entries;
}

export class GuestFiles {
  readonly #connection: AgentConnection;

  constructor(connection: AgentConnection) {
    this.#connection = connection;
  }

  /** Default: of a symbolic link itself. */
  async stat(path: GuestPath, options: CallOptions & { readonly follow?: boolean } = {}): Promise<GuestFile> {
    const request = { flags: options.follow === true ? STAT_FLAGS.follow : 0, path };
    return guestFileOf(await this.#connection.request(FILE_STAT, request, FILE_STATUS, options));
  }

  /** The entries of a directory in no order; `ENTRIES_TOO_MANY` above `maxEntries` (default a million). */
  async list(
    path: GuestPath,
    options: CallOptions & { readonly maxEntries?: number } = {},
  ): Promise<GuestEntry[]> {
    const { maxEntries = DEFAULT_MAX_ENTRIES } = options;
    const request = { type: FILE_LIST, value: { path }, reply: ENTRY_COUNT };
    const transfer = new Transfer(this.#connection, request, options);
    try {
      const entries = await readEntries(new ByteReader(transfer.readable), maxEntries);
      const { count } = await transfer.done;
      if (count !== entries.length) throw protocolError('a list of files is incomplete');
      return entries;
    } catch (error) {
      transfer.abandon(error);
      if (HearthError.is(error) && error.code === 'AGENT_PROTOCOL_INVALID') this.#connection.fail(error);
      throw error;
    }
  }

  /**
   * The content of a regular file, as a stream that fails when the guest does.
   * `lengthBytes` default: to the end.
   */
  open(
    path: GuestPath,
    options: CallOptions & { readonly offsetBytes?: number; readonly lengthBytes?: number } = {},
  ): Readable {
    const { offsetBytes = 0, lengthBytes } = options;
    const value = {
      offsetBytes: BigInt(offsetBytes),
      lengthBytes: lengthBytes === undefined ? MAX_LENGTH : BigInt(lengthBytes),
      path,
    };
    return new Transfer(this.#connection, { type: FILE_READ, value, reply: FILE_STATUS }, options).readable;
  }

  /** The content of a regular file of at most `maxBytes`; `CONTENT_TOO_LARGE` above. */
  async read(
    path: GuestPath,
    options: CallOptions & { readonly offsetBytes?: number; readonly maxBytes: number },
  ): Promise<Buffer> {
    const { maxBytes } = options;
    const content = await buffer(this.open(path, { ...options, lengthBytes: maxBytes + 1 }));
    if (content.byteLength <= maxBytes) return content;
    throw new HearthError('CONTENT_TOO_LARGE', `a file of the guest has more than ${maxBytes} bytes`, {
      hint: 'Read a part of it, or copy it with `hearth cp`.',
      details: { maxBytes },
    });
  }

  /** Puts a file in place whole or not at all; a link is followed, owner and mode of a file there are kept. */
  async write(
    path: GuestPath,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: WriteFileOptions = {},
  ): Promise<GuestFile> {
    const { parents = false, exclusive = false, inPlace = false, sync = false } = options;
    const flags =
      (parents ? WRITE_FLAGS.parents : 0) |
      (exclusive ? WRITE_FLAGS.exclusive : 0) |
      (inPlace ? WRITE_FLAGS.inPlace : 0) |
      (sync ? WRITE_FLAGS.sync : 0);
    const value = { flags, ...wireAttributes(options), path };
    const request = { type: FILE_WRITE, value, reply: FILE_STATUS, sends: true };
    const transfer = new Transfer(this.#connection, request, options);
    if (content instanceof Uint8Array) {
      transfer.writable.end(content);
    } else {
      pipeline(content, transfer.writable).catch((error: unknown) => transfer.abandon(error));
    }
    return guestFileOf(await transfer.done);
  }

  /** With `parents`, an existing directory is no error. */
  async mkdir(
    path: GuestPath,
    options: CallOptions & FileAttributes & { readonly parents?: boolean } = {},
  ): Promise<void> {
    const flags = options.parents === true ? WRITE_FLAGS.parents : 0;
    await this.#connection.request(FILE_MKDIR, { flags, ...wireAttributes(options), path }, NOTHING, options);
  }

  /** Removes a file or an empty directory; with `recursive`, whatever is there. */
  async remove(
    path: GuestPath,
    options: CallOptions & { readonly recursive?: boolean; readonly missingOk?: boolean } = {},
  ): Promise<void> {
    const flags =
      (options.recursive === true ? REMOVE_FLAGS.recursive : 0) |
      (options.missingOk === true ? REMOVE_FLAGS.missingOk : 0);
    await this.#connection.request(FILE_REMOVE, { flags, path }, NOTHING, options);
  }

  async rename(from: GuestPath, to: GuestPath, options?: CallOptions): Promise<void> {
    await this.#connection.request(FILE_RENAME, { from, to }, NOTHING, options);
  }

  async symlink(target: GuestPath, path: GuestPath, options?: CallOptions): Promise<void> {
    await this.#connection.request(FILE_SYMLINK, { target, path }, NOTHING, options);
  }

  /** Of a symbolic link itself, whose mode cannot be set. */
  async setAttributes(path: GuestPath, attributes: FileAttributes, options?: CallOptions): Promise<void> {
    await this.#connection.request(
      FILE_ATTRIBUTES,
      { ...wireAttributes(attributes), path },
      NOTHING,
      options,
    );
  }

  /** See `readTree`: the files at and below `path`, with their bytes unless `contents` is false. */
  readTree(
    path: GuestPath,
    options: CallOptions & { readonly contents?: boolean } = {},
  ): AsyncGenerator<TreeItem, void, undefined> {
    return readTree(this.#connection, path, { ...options, contents: options.contents !== false });
  }

  /** See `writeTree`: puts files below the directory `path`; owners are root's unless `keepOwners`. */
  async writeTree(
    path: GuestPath,
    items: AsyncIterable<NewTreeItem> | Iterable<NewTreeItem>,
    options: CallOptions & { readonly keepOwners?: boolean } = {},
  ): Promise<number> {
    return await writeTree(this.#connection, path, items, {
      ...options,
      keepOwners: options.keepOwners === true,
    });
  }
}
