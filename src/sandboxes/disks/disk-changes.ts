/** What a disk has that the root file system of its environment has not, and the other way round. */
import { createHash } from 'node:crypto';
import { DiskReader } from '../../disks/index.js';
import { type Ext4Inode, Ext4Reader } from '../../ext4/index.js';
import type { SandboxRecord } from '../sandbox-record.js';
import { bootableOf } from '../start-source.js';
import { type DiskItem, entriesOf, itemOf, tooMany } from './disk-tree.js';
import type { OpenedDisk } from './open-disk.js';

export interface DiskChangesOptions {
  /** Also the SHA-256 of contents. */
  readonly hashes: boolean;
  readonly signal?: AbortSignal | undefined;
}

export type ChangedPart = 'kind' | 'content' | 'target' | 'mode' | 'owner' | 'device' | 'xattrs';

export interface DiskChange {
  readonly change: 'added' | 'modified' | 'deleted';
  /** As it is in the environment; its content can be read until the next change. */
  readonly old: DiskItem | undefined;
  /** As it is on the disk. */
  readonly now: DiskItem | undefined;
  /** Of a modified one. Times alone are no change, nor is what a directory holds. */
  readonly parts: readonly ChangedPart[];
  readonly oldSha256: string | undefined;
  readonly sha256: string | undefined;
}

const MAX_COMPARED = 5_000_000;
const MAX_DEPTH = 2048;
/** A guest can make a file of 16 TiB of nothing in no time. */
const MAX_HASHED_BYTES = 8 * 1024 ** 3;

interface Side {
  readonly files: Ext4Reader;
  readonly disk: DiskReader;
}

/** In order of path, a directory before what is in it. */
export async function* diskChanges(
  record: SandboxRecord,
  now: OpenedDisk,
  options: DiskChangesOptions,
): AsyncGenerator<DiskChange> {
  await using disk = await DiskReader.open(bootableOf(record).rootfsPath, 'raw');
  const old = { disk, files: await Ext4Reader.open(disk) };
  const comparison = new Comparison(old, now, options);
  yield* comparison.compare('', await old.files.root(), await now.files.root(), 0);
}

class Comparison {
  readonly #old: Side;
  readonly #now: Side;
  readonly #options: DiskChangesOptions;
  /** The disk still reads what nobody has written from this very file. */
  readonly #shares: boolean;
  readonly #directories = new Set<number>();
  #count = 0;

  constructor(old: Side, now: Side, options: DiskChangesOptions) {
    this.#old = old;
    this.#now = now;
    this.#options = options;
    this.#shares = now.disk.baseIdentity === old.disk.baseIdentity;
  }

  async *compare(
    path: string,
    old: Ext4Inode | undefined,
    now: Ext4Inode | undefined,
    depth: number,
  ): AsyncGenerator<DiskChange> {
    this.#options.signal?.throwIfAborted();
    this.#count += 1;
    if (this.#count > MAX_COMPARED) throw tooMany(MAX_COMPARED);
    const change = await this.#changeOf(path, old, now);
    if (change !== undefined) yield change;
    const oldNames = await this.#namesIn(this.#old.files, old);
    const nowNames = await this.#namesIn(this.#now.files, now);
    if (oldNames.size === 0 && nowNames.size === 0) return;
    if (now?.kind === 'directory') {
      // What leads in circles on the disk would never end.
      if (this.#directories.has(now.number) || depth > MAX_DEPTH) throw tooMany(MAX_DEPTH);
      this.#directories.add(now.number);
    }
    const names = [...new Set([...oldNames.keys(), ...nowNames.keys()])].sort();
    for (const name of names) {
      const oldNumber = oldNames.get(name);
      const nowNumber = nowNames.get(name);
      yield* this.compare(
        path === '' ? name : `${path}/${name}`,
        oldNumber === undefined ? undefined : await this.#old.files.inode(oldNumber),
        nowNumber === undefined ? undefined : await this.#now.files.inode(nowNumber),
        depth + 1,
      );
    }
  }

  async #namesIn(files: Ext4Reader, inode: Ext4Inode | undefined): Promise<ReadonlyMap<string, number>> {
    return inode?.kind === 'directory' ? await entriesOf(files, inode) : new Map();
  }

  async #changeOf(
    path: string,
    oldInode: Ext4Inode | undefined,
    nowInode: Ext4Inode | undefined,
  ): Promise<DiskChange | undefined> {
    const { signal } = this.#options;
    const old = oldInode && (await itemOf(this.#old.files, oldInode, path, signal));
    const now = nowInode && (await itemOf(this.#now.files, nowInode, path, signal));
    const parts = old === undefined || now === undefined ? [] : await this.#changedParts(old, now);
    if (old !== undefined && now !== undefined && parts.length === 0) return undefined;
    return {
      change: old === undefined ? 'added' : now === undefined ? 'deleted' : 'modified',
      old,
      now,
      parts,
      oldSha256: await this.#hash(this.#old.files, oldInode),
      sha256: await this.#hash(this.#now.files, nowInode),
    };
  }

  async #changedParts(old: DiskItem, now: DiskItem): Promise<ChangedPart[]> {
    if (old.entry.kind !== now.entry.kind) return ['kind'];
    const parts: ChangedPart[] = [];
    if (old.entry.kind === 'file' && !(await this.#sameContent(old.inode, now.inode))) parts.push('content');
    if (Buffer.compare(old.entry.target, now.entry.target) !== 0) parts.push('target');
    if (old.entry.mode !== now.entry.mode) parts.push('mode');
    if (old.entry.uid !== now.entry.uid || old.entry.gid !== now.entry.gid) parts.push('owner');
    const isSameDevice =
      old.entry.deviceMajor === now.entry.deviceMajor && old.entry.deviceMinor === now.entry.deviceMinor;
    if (!isSameDevice) parts.push('device');
    if (!sameXattrs(old.xattrs, now.xattrs)) parts.push('xattrs');
    return parts;
  }

  async #sameContent(old: Ext4Inode, now: Ext4Inode): Promise<boolean> {
    if (old.sizeBytes !== now.sizeBytes) return false;
    if (this.#shares && (await this.#sameBlocks(old, now))) return true;
    const one = this.#old.files.content(old, this.#given);
    const other = this.#now.files.content(now, this.#given);
    return await sameBytes(one, other);
  }

  /** Both lie in the same places, and nobody has written there: without reading any of it. */
  async #sameBlocks(old: Ext4Inode, now: Ext4Inode): Promise<boolean> {
    const { files, disk } = this.#now;
    const runs = files.runs(now);
    try {
      for await (const run of this.#old.files.runs(old)) {
        const { value } = await runs.next();
        if (value === undefined || value.position !== run.position) return false;
        if (value.bytes !== run.bytes || value.block !== run.block) return false;
        if (files.isReplayed(run.block, Math.ceil(run.bytes / files.blockBytes))) return false;
        if (!(await disk.isBase(run.block * files.blockBytes, run.bytes))) return false;
      }
      return (await runs.next()).done === true;
    } finally {
      await runs.return(undefined);
    }
  }

  async #hash(files: Ext4Reader, inode: Ext4Inode | undefined): Promise<string | undefined> {
    if (!this.#options.hashes || inode?.kind !== 'file') return undefined;
    if (inode.sizeBytes > MAX_HASHED_BYTES) return undefined;
    const hash = createHash('sha256');
    for await (const piece of files.content(inode, this.#given)) hash.update(piece);
    return hash.digest('hex');
  }

  get #given(): { readonly signal?: AbortSignal } {
    const { signal } = this.#options;
    return signal === undefined ? {} : { signal };
  }
}

/** Whether two streams of the same length have the same bytes, however they are cut. */
async function sameBytes(one: AsyncGenerator<Buffer>, other: AsyncGenerator<Buffer>): Promise<boolean> {
  try {
    let left: Buffer = Buffer.alloc(0);
    let right: Buffer = Buffer.alloc(0);
    for (;;) {
      if (left.byteLength === 0) left = (await nextOf(one)) ?? left;
      if (right.byteLength === 0) right = (await nextOf(other)) ?? right;
      const count = Math.min(left.byteLength, right.byteLength);
      if (count === 0) return left.byteLength === right.byteLength;
      if (!left.subarray(0, count).equals(right.subarray(0, count))) return false;
      left = left.subarray(count);
      right = right.subarray(count);
    }
  } finally {
    await one.return(undefined);
    await other.return(undefined);
  }
}

async function nextOf(pieces: AsyncGenerator<Buffer>): Promise<Buffer | undefined> {
  const { value, done } = await pieces.next();
  return done === true ? undefined : value;
}

function sameXattrs(one: ReadonlyMap<string, Uint8Array>, other: ReadonlyMap<string, Uint8Array>): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([name, value]) => {
    const there = other.get(name);
    return there !== undefined && Buffer.compare(value, there) === 0;
  });
}
