/** What is on the disks of sandboxes, whether they run or not. */
import { posix } from 'node:path';
import type { GuestEntry, GuestFile } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import { tarOfTree } from '../files/guest-tar.js';
import type { Sandbox } from '../sandbox.js';
import { type DiskChange, type DiskChangesOptions, diskChanges } from './disk-changes.js';
import { findFile, itemOf, walkFiles } from './disk-tree.js';
import { readDisk } from './open-disk.js';
import { changesAsPatch, changesAsTar } from './show-changes.js';

export interface ListedDiskFiles {
  /** By path. */
  readonly entries: readonly GuestEntry[];
  readonly truncated: boolean;
}

export interface DiskCallOptions {
  readonly signal?: AbortSignal;
}

const MAX_WALKED = 5_000_000;
const IMAGE_PIECE_BYTES = 1024 * 1024;

/**
 * Every `reference` is that of a sandbox, every path one of its root file system: what is mounted in a running guest
 * (`/proc`, `/tmp` on memory) is not on its disk.
 * All throw `SANDBOX_NOT_FOUND`, `SANDBOX_STATE_CONFLICT`, `FILE_SYSTEM_…`, `GUEST_FILE_NOT_FOUND`, `DISK_…`.
 */
export class SandboxDisks {
  readonly #find: (reference: string) => Sandbox;

  constructor(find: (reference: string) => Sandbox) {
    this.#find = find;
  }

  /** The files in a directory, or the file itself; with `recursive`, all below it. */
  async list(
    reference: string,
    path: string,
    options: DiskCallOptions & { readonly recursive: boolean; readonly maxEntries: number },
  ): Promise<ListedDiskFiles> {
    const { recursive, maxEntries, signal } = options;
    const entries: GuestEntry[] = [];
    const found = readDisk(this.#find(reference), options, async function* ({ files }) {
      const top = await findFile(files, path, true);
      if (top.kind !== 'directory') {
        const { entry } = await itemOf(files, top, Buffer.from(posix.basename(path)).toString('latin1'));
        yield entry;
        return;
      }
      const depth = recursive ? {} : { depth: 1 };
      for await (const { entry } of walkFiles(files, top, { maxEntries: MAX_WALKED, signal, ...depth })) {
        if (entry.path.byteLength > 0) yield entry;
      }
    });
    for await (const entry of found) {
      entries.push(entry);
      if (entries.length > maxEntries) break;
    }
    entries.sort((one, other) => Buffer.compare(one.path, other.path));
    return { entries: entries.slice(0, maxEntries), truncated: entries.length > maxEntries };
  }

  /** A file, first what it is, then its bytes. Links are followed. */
  async *read(
    reference: string,
    path: string,
    options: DiskCallOptions = {},
  ): AsyncGenerator<GuestFile | Uint8Array> {
    yield* readDisk<GuestFile | Uint8Array>(this.#find(reference), options, async function* ({ files }) {
      const inode = await findFile(files, path, true);
      if (inode.kind !== 'file') throw notAFile(path);
      const { entry, content } = await itemOf(files, inode, '', options.signal);
      yield entry;
      yield* content;
    });
  }

  /**
   * The file or directory at `path` as an archive whose root is called `name`: owners, modes, times, links, devices
   * and extended attributes as on the disk. Links at its end are not followed.
   */
  async *readTar(
    reference: string,
    path: string,
    name: string,
    options: DiskCallOptions = {},
  ): AsyncGenerator<Uint8Array> {
    yield* readDisk(this.#find(reference), options, async function* ({ files }) {
      const top = await findFile(files, path, false);
      yield* tarOfTree(walkFiles(files, top, { maxEntries: MAX_WALKED, signal: options.signal }), name);
    });
  }

  /** All bytes of the disk, the file system as its VM left it. */
  async *readImage(reference: string, options: DiskCallOptions = {}): AsyncGenerator<Uint8Array> {
    yield* readDisk(this.#find(reference), options, async function* ({ disk }) {
      for (let position = 0; position < disk.sizeBytes; position += IMAGE_PIECE_BYTES) {
        options.signal?.throwIfAborted();
        const piece = Buffer.alloc(Math.min(IMAGE_PIECE_BYTES, disk.sizeBytes - position));
        await disk.read(piece, position);
        yield piece;
      }
    });
  }

  /** What was changed, as a layer over the image of the environment. */
  async *changesTar(reference: string, options: DiskCallOptions = {}): AsyncGenerator<Uint8Array> {
    yield* changesAsTar(this.changes(reference, { ...options, hashes: false }));
  }

  /** What was changed, as a patch of Git's form. */
  async *changesPatch(reference: string, options: DiskCallOptions = {}): AsyncGenerator<Uint8Array> {
    yield* changesAsPatch(this.changes(reference, { ...options, hashes: false }));
  }

  /** What is not as in the environment, by path. */
  async *changes(reference: string, options: DiskChangesOptions): AsyncGenerator<DiskChange> {
    const sandbox = this.#find(reference);
    yield* readDisk(sandbox, options.signal === undefined ? {} : { signal: options.signal }, (opened) =>
      diskChanges(sandbox.record, opened, options),
    );
  }
}

function notAFile(path: string): HearthError {
  return new HearthError('GUEST_FILE_INVALID', `${JSON.stringify(path)} is not a file`, {
    hint: 'List a directory with `hearth disk list`, or export it with `hearth disk export`.',
    details: { path },
  });
}
