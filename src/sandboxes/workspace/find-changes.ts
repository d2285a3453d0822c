/** What is different in a workspace from its baseline, before anybody asks how. */
import type { GuestEntry } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import type { Baseline } from './baseline.js';
import type { BaselineEntry } from './baseline-entry.js';
import type { GuestPlace } from './guest-place.js';

export interface Difference {
  /** latin1 */
  readonly path: string;
  /** undefined: it is new. */
  readonly old: BaselineEntry | undefined;
  /** undefined: it is gone. */
  readonly next: GuestEntry | undefined;
}

export interface FindOptions {
  /** Only at and below these paths, latin1. */
  readonly paths?: readonly string[] | undefined;
  /** Also files whose size and time are those of the baseline. */
  readonly thorough?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_ENTRIES = 1_000_000;
const STALL_MS = 120_000;
const EXECUTE_BITS = 0o111;

/**
 * Files and links, not directories, that are new, gone, or look other than they did. Whether the content of a
 * file of the same size is really another has still to be seen.
 */
export async function findDifferences(
  { files, root }: GuestPlace,
  baseline: Baseline,
  { paths = [], thorough = false, signal }: FindOptions,
): Promise<Difference[]> {
  const isWanted = (path: string): boolean =>
    paths.length === 0 || paths.some((one) => one === '' || path === one || path.startsWith(`${one}/`));
  const gone = new Map(
    [...baseline.entries].filter(([path, { kind }]) => kind !== 'directory' && isWanted(path)),
  );
  const found: Difference[] = [];
  let count = 0;
  const tree = files.readTree(root, {
    contents: false,
    timeoutMs: STALL_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    for await (const { entry } of tree) {
      count += 1;
      if (count > MAX_ENTRIES) throw tooMany(root);
      const path = Buffer.from(entry.path).toString('latin1');
      if (entry.kind === 'directory' || path === '' || !isWanted(path)) continue;
      const old = gone.get(path);
      gone.delete(path);
      if (old === undefined || looksOther(old, entry, thorough)) found.push({ path, old, next: entry });
    }
  } catch (error) {
    // A workspace that was removed as a whole has changed, too.
    if (!HearthError.is(error) || error.code !== 'GUEST_FILE_NOT_FOUND') throw error;
  }
  for (const [path, old] of gone) found.push({ path, old, next: undefined });
  return found.sort((one, other) => (one.path < other.path ? -1 : 1));
}

function looksOther(old: BaselineEntry, next: GuestEntry, thorough: boolean): boolean {
  if (old.kind !== next.kind) return true;
  if (old.kind === 'symlink') return old.target !== Buffer.from(next.target).toString('latin1');
  if (isExecutable(old.mode) !== isExecutable(next.mode) || old.sizeBytes !== next.sizeBytes) return true;
  return thorough || BigInt(old.mtimeNs) !== next.mtimeNs;
}

/** As Git sees it: by the owner's bit. */
export function isExecutable(mode: number): boolean {
  return (mode & EXECUTE_BITS & 0o100) !== 0;
}

function tooMany(root: string): HearthError {
  return new HearthError('ENTRIES_TOO_MANY', `${root} has more than ${MAX_ENTRIES} files`, {
    hint: 'Remove what nobody needs there, or name the paths to look at.',
    details: { path: root, maxEntries: MAX_ENTRIES },
  });
}
