/** The changes of a disk as others read them: an archive like a layer of an image, or a patch. */
import type { GuestEntry } from '../../agent/index.js';
import { type FileVersion, formatChange, gitMode } from '../../patch/index.js';
import { tarOfTree } from '../files/guest-tar.js';
import type { DiskChange } from './disk-changes.js';
import type { DiskItem } from './disk-tree.js';

const WHITEOUT = '.wh.';
/** Longer files have no place in a patch. */
const MAX_PATCHED_BYTES = 4 * 1024 * 1024;

/**
 * What was added and modified, and of what is gone a whiteout (`.wh.NAME`): a layer over the environment's image by
 * the rules of the OCI image specification.
 */
export function changesAsTar(changes: AsyncIterable<DiskChange>): AsyncGenerator<Uint8Array> {
  return tarOfTree(archived(changes), '.');
}

async function* archived(
  changes: AsyncIterable<DiskChange>,
): AsyncGenerator<Pick<DiskItem, 'entry' | 'content' | 'xattrs'>> {
  // What lies below something that is gone, or is no directory any more, is gone with it.
  let gone: string | undefined;
  for await (const { change, old, now } of changes) {
    const path = pathOf(now ?? old);
    const isBelow = gone !== undefined && path.startsWith(`${gone}/`);
    if (!isBelow) gone = undefined;
    if (now !== undefined) {
      yield now;
      if (old?.entry.kind === 'directory' && now.entry.kind !== 'directory') gone = path;
    } else if (change === 'deleted' && !isBelow && old !== undefined) {
      gone = path;
      yield { entry: whiteoutOf(old.entry, path), content: NOTHING, xattrs: new Map() };
    }
  }
}

function whiteoutOf(entry: GuestEntry, path: string): GuestEntry {
  const slash = path.lastIndexOf('/') + 1;
  const name = `${path.slice(0, slash)}${WHITEOUT}${path.slice(slash)}`;
  const bytes = { path: Buffer.from(name, 'latin1'), target: Buffer.alloc(0) };
  return { ...entry, ...bytes, kind: 'file', mode: 0o644, uid: 0, gid: 0, sizeBytes: 0, linkCount: 1 };
}

/** As `git diff --binary` shows them, from the root on: files and links, with the mode as far as Git keeps it. */
export async function* changesAsPatch(changes: AsyncIterable<DiskChange>): AsyncGenerator<Uint8Array> {
  for await (const { old, now } of changes) {
    const path = pathOf(now ?? old);
    const sizes = [old, now].map((item) => (item?.entry.kind === 'file' ? item.entry.sizeBytes : 0));
    const isLarge = sizes.some((sizeBytes) => sizeBytes > MAX_PATCHED_BYTES);
    const [before, after] = isLarge ? [] : await Promise.all([versionOf(old), versionOf(now)]);
    if (isLarge) {
      yield Buffer.from(`# left out, too large: ${JSON.stringify(shown(path))} (${sizes[1]} bytes)\n`);
    } else if ((before !== undefined || after !== undefined) && differ(before, after)) {
      yield Buffer.from(formatChange(path, before, after, { binary: true }).text);
    }
  }
}

function differ(before: FileVersion | undefined, after: FileVersion | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  return gitMode(before) !== gitMode(after) || !before.content.equals(after.content);
}

async function versionOf(item: DiskItem | undefined): Promise<FileVersion | undefined> {
  if (item === undefined) return undefined;
  const { kind, mode, target } = item.entry;
  if (kind === 'symlink') return { kind, executable: false, content: Buffer.from(target) };
  if (kind !== 'file') return undefined;
  const pieces: Uint8Array[] = [];
  for await (const piece of item.content) pieces.push(Buffer.from(piece));
  return { kind, executable: (mode & 0o111) !== 0, content: Buffer.concat(pieces) };
}

function pathOf(item: DiskItem | undefined): string {
  return Buffer.from(item?.entry.path ?? []).toString('latin1');
}

function shown(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

const NOTHING: AsyncIterable<Uint8Array> = {
  async *[Symbol.asyncIterator]() {},
};
