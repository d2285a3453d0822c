/** Files of this host as an archive for a guest. */
import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { fileError, HearthError } from '../errors/index.js';
import { encodeTarEntry, TAR_END, type TarEntryKind, tarPadding } from '../tar/index.js';

export interface PackOptions {
  /** Owners as they are here. Default root. */
  readonly keepOwners?: boolean;
  readonly signal?: AbortSignal;
  /** Called with all bytes of contents so far. */
  readonly onBytes?: (contentBytes: number) => void;
}

const PIECE_BYTES = 256 * 1024;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * The file or directory at `path`; links in it are kept as links, sockets are left out.
 *
 * @param path Links in its last part are not followed.
 * @param name What it is called in the archive; `.` for the contents of a directory alone.
 * @throws {HearthError} `FILE_NOT_FOUND`, `FILE_UNREADABLE`; `SIZE_MISMATCH` when a file shrinks while it is read.
 */
export async function* packTree(
  path: string,
  name: string,
  options: PackOptions = {},
): AsyncGenerator<Uint8Array> {
  const linked = new Map<string, string>();
  const done = { bytes: 0 };
  yield* packEntry(Buffer.from(path), Buffer.from(name).toString('latin1'), { options, linked, done });
  yield TAR_END;
}

interface Packing {
  readonly options: PackOptions;
  /** Where files with several names were first, by device and inode. */
  readonly linked: Map<string, string>;
  readonly done: { bytes: number };
}

async function* packEntry(host: Buffer, path: string, packing: Packing): AsyncGenerator<Uint8Array> {
  const { options, linked } = packing;
  options.signal?.throwIfAborted();
  const shown = host.toString('utf8');
  try {
    const stats = await lstat(host);
    const kind = kindOf(stats);
    if (kind === undefined) return;
    const identity = `${stats.dev}:${stats.ino}`;
    const first = kind === 'file' && stats.nlink > 1 ? linked.get(identity) : undefined;
    const common = { ...attributesOf(stats, options), path };
    if (first !== undefined) {
      yield encodeTarEntry({ ...common, kind: 'hardlink', linkTarget: first });
      return;
    }
    if (kind === 'file') {
      if (stats.nlink > 1) linked.set(identity, path);
      yield* packFile(host, path, packing);
      return;
    }
    const linkTarget =
      kind === 'symlink' ? (await readlink(host, { encoding: 'buffer' })).toString('latin1') : '';
    yield encodeTarEntry({ ...common, kind, linkTarget, ...deviceOf(stats) });
    if (kind !== 'directory') return;
    const names = await readdir(host, { encoding: 'buffer' });
    names.sort(Buffer.compare);
    for (const name of names) {
      const below = Buffer.concat([host, Buffer.from('/'), name]);
      yield* packEntry(below, `${path}/${name.toString('latin1')}`, packing);
    }
  } catch (error) {
    throw fileError(error, shown);
  }
}

async function* packFile(host: Buffer, path: string, { options, done }: Packing): AsyncGenerator<Uint8Array> {
  const file = await open(host, READ);
  try {
    // Of what was opened: between that and the look at its name it may have been replaced.
    const stats = await file.stat();
    if (!stats.isFile()) return;
    const sizeBytes = stats.size;
    yield encodeTarEntry({ ...attributesOf(stats, options), path, kind: 'file', sizeBytes });
    let position = 0;
    while (position < sizeBytes) {
      options.signal?.throwIfAborted();
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, sizeBytes - position));
      const { bytesRead } = await file.read(piece, 0, piece.byteLength, position);
      if (bytesRead === 0) throw shrunk(host, sizeBytes, position);
      position += bytesRead;
      done.bytes += bytesRead;
      yield piece.subarray(0, bytesRead);
      options.onBytes?.(done.bytes);
    }
    yield tarPadding(sizeBytes);
  } finally {
    await file.close();
  }
}

function kindOf(stats: Stats): TarEntryKind | undefined {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isCharacterDevice()) return 'character';
  if (stats.isBlockDevice()) return 'block';
  return stats.isFIFO() ? 'fifo' : undefined;
}

function attributesOf(stats: Stats, { keepOwners = false }: PackOptions) {
  const seconds = Math.floor(stats.mtimeMs / 1000);
  return {
    mode: stats.mode & 0o7777,
    uid: keepOwners ? stats.uid : 0,
    gid: keepOwners ? stats.gid : 0,
    mtime: { seconds, nanoseconds: Math.floor((stats.mtimeMs - seconds * 1000) * 1e6) },
  };
}

/** glibc's `major` and `minor`. */
function deviceOf({ rdev }: Stats): { readonly major: number; readonly minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

function shrunk(host: Buffer, expectedBytes: number, actualBytes: number): HearthError {
  const path = host.toString('utf8');
  return new HearthError('SIZE_MISMATCH', `${path} became smaller while it was read`, {
    hint: 'Copy it again when nobody writes to it.',
    details: { path, expectedBytes, actualBytes },
  });
}
