/** Paths of a file system that nobody has mounted, and the files below them. */
import type { TreeItem } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import type { Ext4Inode, Ext4Reader } from '../../ext4/index.js';
import { displayName } from '../../tar/index.js';

/** A file of a disk as one of a guest, with what only a disk tells. */
export interface DiskItem extends TreeItem {
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  readonly inode: Ext4Inode;
}

const MAX_LINKS = 40;
const MAX_DEPTH = 2048;
const NS = 1_000_000_000n;

/**
 * The file at a path, with every link on the way followed within the file system, as its guest would.
 *
 * @param follow Also a link at its end.
 * @throws {HearthError} `GUEST_FILE_NOT_FOUND`, `GUEST_FILE_INVALID` for links in circles; `FILE_SYSTEM_…`.
 */
export async function findFile(files: Ext4Reader, path: string, follow: boolean): Promise<Ext4Inode> {
  const rest = partsOf(Buffer.from(path).toString('latin1'));
  const root = await files.root();
  const above: Ext4Inode[] = [];
  let here = root;
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '..') {
      here = above.pop() ?? root;
      continue;
    }
    const found = here.kind === 'directory' ? await inDirectory(files, here, name) : undefined;
    if (found === undefined) throw notFound(path);
    const inode = await files.inode(found);
    if (inode.kind === 'symlink' && (rest.length > 0 || follow)) {
      links += 1;
      if (links > MAX_LINKS) throw invalidPath(path, 'has too many symbolic links');
      const target = await files.target(inode);
      if (target.startsWith('/')) {
        here = root;
        above.length = 0;
      }
      rest.unshift(...partsOf(target));
      continue;
    }
    above.push(here);
    here = inode;
    if (above.length > MAX_DEPTH) throw invalidPath(path, 'is too deep');
  }
  return here;
}

/** The names in a directory with what they name, by bytes. */
export async function entriesOf(
  files: Ext4Reader,
  directory: Ext4Inode,
): Promise<ReadonlyMap<string, number>> {
  const entries: [string, number][] = [];
  for await (const { name, inode } of files.entries(directory)) entries.push([name, inode]);
  return new Map(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** The file and, of a directory, all that is below it, each directory before what is in it. */
export async function* walkFiles(
  files: Ext4Reader,
  top: Ext4Inode,
  { maxEntries, depth = MAX_DEPTH, signal }: WalkOptions,
): AsyncGenerator<DiskItem> {
  const directories = new Set<number>();
  const open: { readonly path: string; readonly names: [string, number][] }[] = [];
  let count = 0;
  let next: { path: string; inode: Ext4Inode } | undefined = { path: '', inode: top };
  while (next !== undefined) {
    signal?.throwIfAborted();
    count += 1;
    if (count > maxEntries) throw tooMany(maxEntries);
    const { path, inode } = next;
    yield await itemOf(files, inode, path, signal);
    if (inode.kind === 'directory' && open.length < depth) {
      if (directories.has(inode.number)) throw circle(path);
      if (open.length >= MAX_DEPTH) throw circle(path);
      directories.add(inode.number);
      open.push({ path, names: [...(await entriesOf(files, inode))].reverse() });
    }
    while ((open.at(-1)?.names.length ?? 1) === 0) open.pop();
    const last = open.at(-1);
    const [name, number] = last?.names.pop() ?? [];
    next =
      last === undefined || name === undefined || number === undefined
        ? undefined
        : { path: last.path === '' ? name : `${last.path}/${name}`, inode: await files.inode(number) };
  }
}

export interface WalkOptions {
  readonly maxEntries: number;
  /** How many directories deep; 1: what is in the directory itself. */
  readonly depth?: number;
  readonly signal?: AbortSignal | undefined;
}

/** @param path Below the top, latin1. */
export async function itemOf(
  files: Ext4Reader,
  inode: Ext4Inode,
  path: string,
  signal?: AbortSignal,
): Promise<DiskItem> {
  const { kind, mode, uid, gid, sizeBytes, mtime, major, minor, number, linkCount } = inode;
  const target = kind === 'symlink' ? Buffer.from(await files.target(inode), 'latin1') : Buffer.alloc(0);
  return {
    inode,
    xattrs: await files.xattrs(inode),
    entry: {
      path: Buffer.from(path, 'latin1'),
      kind,
      mode,
      uid,
      gid,
      sizeBytes,
      mtimeNs: BigInt(mtime.seconds) * NS + BigInt(mtime.nanoseconds),
      deviceMajor: major,
      deviceMinor: minor,
      inode: BigInt(number),
      linkCount,
      target,
    },
    content: kind === 'file' ? files.content(inode, signal === undefined ? {} : { signal }) : NOTHING,
  };
}

const NOTHING: AsyncIterable<Uint8Array> = {
  async *[Symbol.asyncIterator]() {},
};

async function inDirectory(
  files: Ext4Reader,
  directory: Ext4Inode,
  name: string,
): Promise<number | undefined> {
  for await (const entry of files.entries(directory)) if (entry.name === name) return entry.inode;
  return undefined;
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function notFound(path: string): HearthError {
  return new HearthError('GUEST_FILE_NOT_FOUND', `no such file on the disk: ${JSON.stringify(path)}`, {
    hint: 'List the directory above it: `hearth disk list SANDBOX DIRECTORY`.',
    details: { path },
  });
}

function invalidPath(path: string, what: string): HearthError {
  return new HearthError('GUEST_FILE_INVALID', `${JSON.stringify(path)} ${what}`, {
    hint: 'Name the file itself.',
    details: { path },
  });
}

function circle(path: string): HearthError {
  return new HearthError(
    'FILE_SYSTEM_INVALID',
    `the file system is damaged: the directory ${JSON.stringify(displayName(path))} is in two places`,
    { hint: 'Look at it with e2fsck.', details: { path: displayName(path) } },
  );
}

export function tooMany(maxEntries: number): HearthError {
  return new HearthError('ENTRIES_TOO_MANY', `more than ${maxEntries} files`, {
    hint: 'Name a directory further down.',
    details: { maxEntries },
  });
}
