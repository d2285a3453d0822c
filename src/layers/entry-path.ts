/** Paths of tar entries, made relative to the rootfs. Links are not looked at here: see `tree.ts`. */
import { HearthError } from '../errors/index.js';
import { displayName } from '../tar/index.js';

/** NAME_MAX of Linux, in bytes. */
const MAX_NAME_BYTES = 255;
/** Eight times PATH_MAX: the kernel reaches such files step by step, and nothing honest goes deeper. */
const MAX_PATH_BYTES = 32 * 1024;
/** Where a path needs more than its trailing slash taken off. */
const UNCLEAN = /^\/|^\.\/|^\.\.?$|^\.\.\/|\/\/|\/\.\.?\/|\/\.\.?$/;

/**
 * Cleans the path of an entry or the target of a hard link: absolute paths start at the rootfs, `.` and empty
 * parts go, `..` takes the part before it away and stops at the rootfs. So no path leads out of it, as in
 * containerd and umoci.
 *
 * @param raw latin1, as the archive has it.
 * @returns Relative, without trailing slash; the rootfs itself is `''`.
 * @throws {HearthError} `PATH_TOO_LONG`, `NAME_TOO_LONG` (a part above 255 bytes).
 */
export function cleanEntryPath(raw: string): string {
  if (raw.length > MAX_PATH_BYTES) {
    throw new HearthError(
      'PATH_TOO_LONG',
      `a path of ${raw.length} bytes, at most ${MAX_PATH_BYTES} are read`,
      {
        hint: 'The image is malformed; rebuild it with shorter paths.',
        details: { path: displayName(raw), pathBytes: raw.length, limitBytes: MAX_PATH_BYTES },
      },
    );
  }
  const clean = UNCLEAN.test(raw) ? cleanParts(raw) : raw.endsWith('/') ? raw.slice(0, -1) : raw;
  if (clean.length > MAX_NAME_BYTES) checkNames(clean);
  return clean;
}

/** The directory part of a clean path; `''` for what stands in the rootfs itself. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

function cleanParts(raw: string): string {
  const parts: string[] = [];
  for (const part of raw.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function checkNames(path: string): void {
  const long = path.split('/').find((name) => name.length > MAX_NAME_BYTES);
  if (long === undefined) return;
  throw new HearthError('NAME_TOO_LONG', `a name of ${long.length} bytes, Linux allows ${MAX_NAME_BYTES}`, {
    hint: 'The image is malformed; rebuild it with shorter names.',
    details: { path: displayName(path), nameBytes: long.length, limitBytes: MAX_NAME_BYTES },
  });
}
