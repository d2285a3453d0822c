/** Puts a tree of the host into a guest: the baseline into an empty workspace, or more files beside others. */
import type { CallOptions, NewTreeItem } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import type { Baseline } from './baseline.js';
import { type GuestPlace, guestPath } from './guest-place.js';

/** The guest may be this long without any progress. */
const STALL_MS = 120_000;
/** For one request that removes much. */
const REMOVE_MS = 600_000;
const ROOT_MODE = 0o755;
const MAX_NAMES = 1_000_000;

/** Makes the workspace what the baseline says and nothing else. Interrupted, it may be anything: do it again. */
export async function restoreBaseline(
  place: GuestPlace,
  baseline: Baseline,
  { signal }: CallOptions = {},
): Promise<void> {
  const passed = signal === undefined ? {} : { signal };
  await emptyDirectory(place, passed);
  await putEntries(place, baseline, '', passed);
}

/**
 * Writes the entries below `below`, a path in the workspace. Files are replaced whole, each by itself.
 *
 * @returns How many entries were written.
 */
export async function putEntries(
  { files, root, owner }: GuestPlace,
  baseline: Baseline,
  below: string,
  options: CallOptions = {},
): Promise<number> {
  const target = guestPath(root, below);
  await files.mkdir(target, { parents: true, ...options, ...(below === '' ? {} : owner) });
  async function* items(): AsyncGenerator<NewTreeItem> {
    if (below === '') yield { entry: { path: '', kind: 'directory', mode: ROOT_MODE, ...owner } };
    for (const entry of baseline.entries.values()) {
      const { kind, mode, sizeBytes } = entry;
      yield {
        entry: {
          path: Buffer.from(entry.path, 'latin1'),
          kind,
          mode,
          sizeBytes,
          mtimeNs: BigInt(entry.mtimeNs),
          target: Buffer.from(entry.target, 'latin1'),
          ...owner,
        },
        content: baseline.stream(entry),
      };
    }
  }
  return await files.writeTree(target, items(), { keepOwners: true, timeoutMs: STALL_MS, ...options });
}

/** Leaves an empty directory there, whatever was there before. Links are removed, not followed. */
async function emptyDirectory({ files, root }: GuestPlace, options: CallOptions): Promise<void> {
  const present = await files.stat(root, options).catch((error: unknown) => {
    if (HearthError.is(error) && error.code === 'GUEST_FILE_NOT_FOUND') return undefined;
    throw error;
  });
  if (present !== undefined && present.kind !== 'directory') {
    await files.remove(root, { ...options, missingOk: true });
  } else if (present !== undefined) {
    for (const { path } of await files.list(root, { ...options, maxEntries: MAX_NAMES })) {
      const child = guestPath(root, Buffer.from(path).toString('latin1'));
      await files.remove(child, { recursive: true, missingOk: true, ...options, timeoutMs: REMOVE_MS });
    }
  }
}
