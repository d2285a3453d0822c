/** What an entry is once its extensions are applied: PAX over GNU over the header block. */
import type { TarEntry, TarEntryKind, TarTimestamp } from './entry.js';
import { tarInvalid } from './failure.js';
import type { Header } from './header.js';
import type { PaxHeader } from './pax.js';

/** What stood before the header of one entry; it applies to that entry alone. */
export interface EntryExtensions {
  pax?: PaxHeader;
  longPath?: string;
  longLinkPath?: string;
}

export interface ResolvedEntry {
  /** `storedBytes` still counts a sparse map that stands in the body. */
  readonly entry: TarEntry;
  /** Where the sparse map is: in the header block, in the body, or here; undefined for ordinary files. */
  readonly sparse: 'oldGnu' | 'inBody' | number[] | undefined;
}

const KINDS: Readonly<Record<string, TarEntryKind>> = {
  '0': 'file',
  '\0': 'file',
  // Contiguous files: reserved, read as regular ones.
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};
const MAX_ID = 0xffff_ffff;
const MAX_MAJOR = 0xfff;
const MAX_MINOR = 0xf_ffff;
const MODE_BITS = 0o7777;
/** The time that was read last: entries beside each other often share theirs, and then share the object. */
let lastTime: TarTimestamp = { seconds: 0, nanoseconds: 0 };
const REAL_SIZE_AT_MOST = 2 ** 46;

/**
 * @param offsetBytes Where the header stands, for errors.
 * @throws {HearthError} `TAR_INVALID`: a number out of range, an unknown type, a name with a NUL, a link without a target.
 */
export function resolveEntry(
  header: Header,
  extensions: EntryExtensions,
  offsetBytes: number,
): ResolvedEntry {
  const pax = extensions.pax ?? {};
  const longPath = extensions.longPath === '' ? undefined : extensions.longPath;
  const path = pax.sparse?.name ?? longPath ?? pax.path ?? header.path;
  const check = (value: number, max: number, field: string): number => {
    if (value >= 0 && value <= max) return value;
    throw tarInvalid(`${field} is malformed or out of range`, offsetBytes, path);
  };

  const known = KINDS[header.typeFlag];
  if (known === undefined) {
    throw tarInvalid(`unknown entry type ${JSON.stringify(header.typeFlag)}`, offsetBytes, path);
  }
  // Before ustar a directory was a regular entry whose name ends in a slash.
  const kind = header.typeFlag === '\0' && path.endsWith('/') ? 'directory' : known;
  const isFile = kind === 'file';
  const isDevice = kind === 'character' || kind === 'block';
  const headerSize = check(pax.sizeBytes ?? header.sizeBytes, Number.MAX_SAFE_INTEGER, 'size');
  const storedBytes = isFile ? headerSize : 0;
  const sparse = isFile ? sparseOf(header, pax) : undefined;
  const isSparse = sparse !== undefined;
  const realSize = header.typeFlag === 'S' ? header.oldSparseSizeBytes : pax.sparse?.realSizeBytes;
  if (isSparse && realSize === undefined) throw tarInvalid('sparse file without its size', offsetBytes, path);
  const linkTarget = kind === 'symlink' || kind === 'hardlink' ? linkTargetOf(header, extensions) : '';
  if (linkTarget === '' && (kind === 'symlink' || kind === 'hardlink')) {
    throw tarInvalid('link without a target', offsetBytes, path);
  }
  return {
    entry: {
      path,
      kind,
      linkTarget,
      // Bits above the twelve say what the type flag says already.
      mode: check(header.mode, Number.MAX_SAFE_INTEGER, 'mode') % (MODE_BITS + 1),
      uid: check(pax.uid ?? header.uid, MAX_ID, 'uid'),
      gid: check(pax.gid ?? header.gid, MAX_ID, 'gid'),
      mtime: pax.mtime === undefined ? timeOf(header.mtimeSeconds, offsetBytes, path) : shared(pax.mtime),
      major: isDevice ? check(header.major, MAX_MAJOR, 'device major') : 0,
      minor: isDevice ? check(header.minor, MAX_MINOR, 'device minor') : 0,
      sizeBytes: isSparse ? check(realSize ?? Number.NaN, REAL_SIZE_AT_MOST, 'sparse size') : storedBytes,
      storedBytes,
      xattrs: pax.xattrs,
      offsetBytes,
    },
    sparse,
  };
}

function linkTargetOf(header: Header, { pax, longLinkPath }: EntryExtensions): string {
  const long = longLinkPath === '' ? undefined : longLinkPath;
  return long ?? pax?.linkPath ?? header.linkPath;
}

function timeOf(seconds: number, offsetBytes: number, path: string): TarTimestamp {
  if (Number.isNaN(seconds)) throw tarInvalid('mtime is malformed or out of range', offsetBytes, path);
  return shared({ seconds, nanoseconds: 0 });
}

function shared(time: TarTimestamp): TarTimestamp {
  if (time.seconds !== lastTime.seconds || time.nanoseconds !== lastTime.nanoseconds) lastTime = time;
  return lastTime;
}

function sparseOf(header: Header, pax: PaxHeader): ResolvedEntry['sparse'] {
  if (header.typeFlag === 'S') return 'oldGnu';
  const { sparse } = pax;
  if (sparse === undefined) return undefined;
  if (sparse.major === '1' && sparse.minor === '0') return 'inBody';
  return sparse.map;
}
