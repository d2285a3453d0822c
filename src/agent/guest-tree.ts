/**
 * Directory trees of the guest as a sequence of entries, each with its content.
 *
 * The order is a promise that is checked: a directory comes before what is in it, and
 * nothing lies below anything but a directory. Whoever writes the entries to disk in
 * order therefore stays below the target, whatever the guest's names are.
 */
import type { Writable } from 'node:stream';
import { HearthError } from '../errors/index.js';
import { ENTRY_COUNT, TREE_FLAGS, TREE_READ, TREE_WRITE } from '../protocol/index.js';
import { ByteReader } from './byte-reader.js';
import type { AgentConnection, CallOptions } from './connection.js';
import { protocolError } from './errors.js';
import { encodeEntry, type GuestEntry, type NewEntry, readEntry } from './file-entry.js';
import { Transfer } from './transfer.js';

export interface TreeItem {
  readonly entry: GuestEntry;
  /** The bytes of a regular file, `entry.sizeBytes` of them; may be left unread. Valid until the next item. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface NewTreeItem {
  readonly entry: NewEntry;
  /** Exactly `entry.sizeBytes` bytes for a regular file. */
  readonly content?: AsyncIterable<Uint8Array>;
}

const CONTENT_PIECE_BYTES = 64 * 1024;
const MAX_DEPTH = 2048;

/** Throws unless the path is the root or lies right below a directory that is still open. */
function checkOrder(entry: GuestEntry, open: string[]): void {
  const path = Buffer.from(entry.path).toString('latin1');
  const slash = path.lastIndexOf('/');
  const parent = slash === -1 ? '' : path.slice(0, slash);
  const name = path.slice(slash + 1);
  const isRoot = path === '' && open.length === 0;
  if (!isRoot) {
    while (open.length > 0 && open.at(-1) !== parent) open.pop();
    if (open.length === 0 || name === '' || name === '.' || name === '..') {
      throw protocolError('a tree of files has a name out of place', { path: JSON.stringify(path) });
    }
  }
  if (entry.kind === 'directory') open.push(path);
  if (open.length > MAX_DEPTH) throw protocolError('a tree of files is too deep', { depth: open.length });
}

async function* contentOf(reader: ByteReader, left: { bytes: number }): AsyncGenerator<Uint8Array> {
  while (left.bytes > 0) {
    const piece = await reader.some(Math.min(left.bytes, CONTENT_PIECE_BYTES));
    if (piece === undefined) throw protocolError('a stream of files ends amid a content');
    left.bytes -= piece.byteLength;
    yield piece;
  }
}

/**
 * Reads the tree at `path`, or the single file there, without following links.
 * Leaving the loop early gives the transfer up.
 *
 * @throws {HearthError} `GUEST_FILE_NOT_FOUND` and the like; `AGENT_PROTOCOL_INVALID`
 *   when the guest breaks the order, after which the channel is closed.
 */
export async function* readTree(
  connection: AgentConnection,
  path: string | Uint8Array,
  options: CallOptions & { readonly contents: boolean },
): AsyncGenerator<TreeItem, void, undefined> {
  const request = { flags: options.contents ? TREE_FLAGS.contents : 0, path };
  const transfer = new Transfer(connection, { type: TREE_READ, value: request, reply: ENTRY_COUNT }, options);
  const reader = new ByteReader(transfer.readable);
  const open: string[] = [];
  let complete = false;
  try {
    for (;;) {
      const entry = await readEntry(reader);
      if (entry === undefined) break;
      checkOrder(entry, open);
      const left = { bytes: options.contents && entry.kind === 'file' ? entry.sizeBytes : 0 };
      yield { entry, content: contentOf(reader, left) };
      for await (const _skipped of contentOf(reader, left));
    }
    await transfer.done;
    complete = true;
  } catch (error) {
    if (HearthError.is(error) && error.code === 'AGENT_PROTOCOL_INVALID') connection.fail(error);
    throw error;
  } finally {
    if (!complete) transfer.abandon(new Error('the tree was not read to its end'));
  }
}

function write(writable: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    writable.write(bytes, (error) => (error == null ? resolve() : reject(error)));
  });
}

async function writeContent(writable: Writable, { entry, content }: NewTreeItem): Promise<void> {
  const wantedBytes = entry.kind === 'file' ? (entry.sizeBytes ?? 0) : 0;
  let sentBytes = 0;
  if (wantedBytes > 0) {
    for await (const piece of content ?? []) {
      sentBytes += piece.byteLength;
      if (sentBytes > wantedBytes) break;
      await write(writable, piece);
    }
  }
  if (sentBytes === wantedBytes) return;
  throw new HearthError(
    'SIZE_MISMATCH',
    `a file was announced with ${wantedBytes} bytes and has ${sentBytes}`,
    {
      hint: 'The file changed while it was copied; copy it again.',
      details: { expectedBytes: wantedBytes, actualBytes: sentBytes },
    },
  );
}

/**
 * Writes entries below the directory `path`, in order; files are replaced whole, directories kept.
 * The entry with the path `''` is `path` itself.
 *
 * @returns How many entries were written.
 */
export async function writeTree(
  connection: AgentConnection,
  path: string | Uint8Array,
  items: AsyncIterable<NewTreeItem> | Iterable<NewTreeItem>,
  options: CallOptions & { readonly keepOwners: boolean },
): Promise<number> {
  const request = { flags: options.keepOwners ? TREE_FLAGS.owners : 0, path };
  const transfer = new Transfer(
    connection,
    { type: TREE_WRITE, value: request, reply: ENTRY_COUNT, sends: true },
    options,
  );
  try {
    for await (const item of items) {
      await write(transfer.writable, encodeEntry(item.entry));
      await writeContent(transfer.writable, item);
    }
    transfer.writable.end(new Uint8Array(4));
  } catch (error) {
    transfer.abandon(error);
  }
  return (await transfer.done).count;
}
