/** Trees of a guest as tar archives, and back. */
import type { GuestEntry, NewEntry, NewTreeItem, TreeItem } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import {
  cleanTarPath,
  encodeTarEntry,
  readTarEntries,
  TAR_END,
  type TarEntry,
  type TarItem,
  tarPadding,
} from '../../tar/index.js';

const NS = 1_000_000_000n;
/** Files with several names that are remembered; further ones are archived again under each name. */
const MAX_LINKED = 200_000;
const NOTHING = async function* (): AsyncGenerator<Uint8Array> {};

/**
 * The archive of a tree; sockets are left out. A file that has been archived before is a hard link.
 *
 * @param name What the root is called; `'.'` for the files of a directory alone.
 */
export async function* tarOfTree(
  items: AsyncIterable<TreeItem & { readonly xattrs?: ReadonlyMap<string, Uint8Array> }>,
  name: string,
): AsyncGenerator<Uint8Array> {
  const root = Buffer.from(name).toString('latin1');
  const linked = new Map<bigint, string>();
  for await (const { entry, content, xattrs } of items) {
    if (entry.kind === 'socket') continue;
    const below = Buffer.from(entry.path).toString('latin1');
    const path = below === '' ? root : `${root}/${below}`;
    const first = entry.kind === 'file' && entry.linkCount > 1 ? linked.get(entry.inode) : undefined;
    if (first !== undefined) {
      yield encodeTarEntry({ ...attributesOf(entry), path, kind: 'hardlink', linkTarget: first });
      continue;
    }
    if (entry.kind === 'file' && entry.linkCount > 1 && linked.size < MAX_LINKED)
      linked.set(entry.inode, path);
    yield encodeTarEntry({
      ...attributesOf(entry),
      path,
      kind: entry.kind,
      linkTarget: Buffer.from(entry.target).toString('latin1'),
      sizeBytes: entry.sizeBytes,
      ...(xattrs === undefined ? {} : { xattrs }),
    });
    if (entry.kind !== 'file') continue;
    yield* content;
    yield tarPadding(entry.sizeBytes);
  }
  yield TAR_END;
}

function attributesOf({ mode, uid, gid, mtimeNs, deviceMajor, deviceMinor }: GuestEntry) {
  const nanoseconds = ((mtimeNs % NS) + NS) % NS;
  return {
    mode,
    uid,
    gid,
    mtime: { seconds: Number((mtimeNs - nanoseconds) / NS), nanoseconds: Number(nanoseconds) },
    major: deviceMajor,
    minor: deviceMinor,
  };
}

/**
 * What an archive says, as a tree to be written below a directory of a guest.
 *
 * @throws {HearthError} `PATH_ESCAPES_ROOT`, `TAR_INVALID`, `TAR_TRUNCATED`, `ENTRIES_TOO_MANY`.
 */
export async function* treeOfTar(
  source: AsyncIterable<Uint8Array>,
  { maxEntries }: { readonly maxEntries: number },
): AsyncGenerator<NewTreeItem> {
  let count = 0;
  for await (const item of readTarEntries(source)) {
    count += 1;
    if (count > maxEntries) {
      throw new HearthError('ENTRIES_TOO_MANY', `an archive of more than ${maxEntries} entries`, {
        hint: 'Copy a directory further down, or in several archives.',
        details: { maxEntries },
      });
    }
    yield treeItem(cleanTarPath(item.entry.path), item);
  }
}

function treeItem(path: string, { entry, content }: TarItem): NewTreeItem {
  const { kind, sizeBytes } = entry;
  const common = { ...ownerOf(entry), path: Buffer.from(path, 'latin1'), mode: entry.mode };
  switch (kind) {
    case 'hardlink':
      return {
        entry: {
          ...common,
          kind: 'file',
          hardLinkTo: Buffer.from(cleanTarPath(entry.linkTarget), 'latin1'),
        },
        content: NOTHING(),
      };
    case 'symlink':
      return {
        entry: { ...common, kind, target: Buffer.from(entry.linkTarget, 'latin1') },
        content: NOTHING(),
      };
    default:
      return {
        entry: { ...common, kind, sizeBytes, deviceMajor: entry.major, deviceMinor: entry.minor },
        content,
      };
  }
}

function ownerOf({ uid, gid, mtime }: TarEntry): Pick<NewEntry, 'uid' | 'gid' | 'mtimeNs'> {
  // To the wire 0 is now, so the epoch itself becomes the instant after it.
  const mtimeNs = BigInt(mtime.seconds) * NS + BigInt(mtime.nanoseconds);
  return { uid, gid, mtimeNs: mtimeNs === 0n ? 1n : mtimeNs };
}
