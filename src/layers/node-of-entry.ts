/** From a tar entry to the node it describes, without its name and its body. */
import { HearthError } from '../errors/index.js';
import type { Ext4FileData, Ext4Node } from '../ext4/index.js';
import { displayName, type TarEntry } from '../tar/index.js';

/** PATH_MAX of Linux less the final NUL, in bytes. */
const MAX_TARGET_BYTES = 4095;

/**
 * @param entry Not a hard link, which is no node of its own.
 * @throws {HearthError} `SYMLINK_TOO_LONG`.
 */
export function nodeOfEntry(entry: TarEntry): Ext4Node {
  const { mode, uid, gid, mtime, xattrs } = entry;
  switch (entry.kind) {
    case 'directory':
      return { kind: 'directory', mode, uid, gid, mtime, xattrs, children: new Map() };
    case 'symlink':
      // Linux gives every symbolic link these bits, whatever the archive says.
      return { kind: 'symlink', mode: 0o777, uid, gid, mtime, xattrs, target: targetOf(entry) };
    case 'character':
    case 'block':
      return { kind: entry.kind, mode, uid, gid, mtime, xattrs, major: entry.major, minor: entry.minor };
    case 'fifo':
      return { kind: 'fifo', mode, uid, gid, mtime, xattrs };
    default:
      return { kind: 'file', mode, uid, gid, mtime, xattrs, data: holes(entry.sizeBytes) };
  }
}

/** One object for all empty files: large images have many, and nobody changes it. */
const EMPTY: Ext4FileData = { sizeBytes: 0, extents: [] };

function holes(sizeBytes: number): Ext4FileData {
  return sizeBytes === 0 ? EMPTY : { sizeBytes, extents: [] };
}

function targetOf(entry: TarEntry): Uint8Array {
  const target = new Uint8Array(Buffer.from(entry.linkTarget, 'latin1'));
  if (target.byteLength <= MAX_TARGET_BYTES) return target;
  const details = {
    path: displayName(entry.path),
    targetBytes: target.byteLength,
    limitBytes: MAX_TARGET_BYTES,
  };
  const message = `symbolic link ${JSON.stringify(details.path)} has a target of ${target.byteLength} bytes, Linux allows ${MAX_TARGET_BYTES}`;
  throw new HearthError('SYMLINK_TOO_LONG', message, {
    hint: 'The image is malformed; rebuild it with a shorter link.',
    details,
  });
}
