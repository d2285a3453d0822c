/**
 * Applies a patch to a workspace: all of it, or nothing. New contents are complete in the guest, beside the
 * workspace's files, before the first of these is moved; from then on there are only renames, which are undone
 * when one fails.
 */
import { randomBytes } from 'node:crypto';
import type { NewTreeItem } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import { displayPath, parsePatch } from '../../patch/index.js';
import { type GuestPlace, guestPath } from './guest-place.js';
import { type PatchPlan, type PlannedChange, planPatch } from './plan-patch.js';

export interface ApplyPatchOptions {
  /** Only say whether it would do. */
  readonly check?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PatchedFile {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

const STALL_MS = 120_000;
const REMOVE_MS = 60_000;
const FILE_MODE = 0o644;
const EXECUTE_BITS = 0o111;

/**
 * @returns What was changed, or would be.
 * @throws {HearthError} `PATCH_INVALID`, `PATH_ESCAPES_ROOT`, `PATCH_TOO_LARGE`, `PATCH_CONFLICT` with
 *   `details.conflicts`, `GUEST_DISK_FULL`, and those of the agent. The files are as before then.
 */
export async function applyPatch(
  place: GuestPlace,
  patch: Buffer,
  { check = false, signal }: ApplyPatchOptions = {},
): Promise<PatchedFile[]> {
  const plan = await planPatch(place, parsePatch(patch), signal);
  const [first] = plan.conflicts;
  if (first !== undefined) throw conflictError(first, plan);
  if (!check) await carryOut(place, plan, signal);
  return plan.changes.map(({ path, before, after }) => ({
    path: displayPath(path),
    change: before === undefined ? 'added' : after === undefined ? 'deleted' : 'modified',
  }));
}

function conflictError(
  { path, hunk, line, reason }: PatchPlan['conflicts'][number],
  { conflicts }: PatchPlan,
): HearthError {
  const at = hunk === null ? '' : `, hunk ${hunk}, line ${line}`;
  const more = conflicts.length > 1 ? `; ${conflicts.length - 1} more` : '';
  return new HearthError('PATCH_CONFLICT', `the patch does not fit ${path}${at}: ${reason}${more}`, {
    hint: 'Nothing was changed. Read the file as it is now and make the patch anew.',
    details: { conflicts },
  });
}

async function carryOut(place: GuestPlace, plan: PatchPlan, signal: AbortSignal | undefined): Promise<void> {
  const { files, root } = place;
  const staging = `${root}/.hearth-patch-${randomBytes(6).toString('hex')}`;
  const undo: Array<() => Promise<void>> = [];
  try {
    await files.mkdir(staging, { mode: 0o700, ...(signal === undefined ? {} : { signal }) });
    await files.writeTree(staging, newFiles(place, plan), {
      keepOwners: true,
      timeoutMs: STALL_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    signal?.throwIfAborted();
    try {
      await moveAll(place, plan, staging, undo);
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
    await removeEmptied(place, plan);
  } finally {
    await files.remove(staging, { recursive: true, missingOk: true, timeoutMs: REMOVE_MS }).catch(() => {});
  }
}

const newName = (index: number): string => `new-${index}`;

function* newFiles({ owner }: GuestPlace, { changes }: PatchPlan): Generator<NewTreeItem> {
  for (const [index, { before, after }] of changes.entries()) {
    if (after === undefined) continue;
    const old = before?.kind === 'file' && after.kind === 'file' ? before.mode : FILE_MODE;
    const mode = after.executable ? old | ((old >> 2) & EXECUTE_BITS) | 0o100 : old & ~EXECUTE_BITS;
    const { uid, gid } = before ?? owner;
    yield {
      entry: {
        path: newName(index),
        kind: after.kind,
        mode,
        uid,
        gid,
        ...(after.kind === 'file' ? { sizeBytes: after.content.byteLength } : { target: after.content }),
      },
      content: once(after.content),
    };
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function moveAll(
  { files, root, owner }: GuestPlace,
  { changes, missingDirectories }: PatchPlan,
  staging: string,
  undo: Array<() => Promise<void>>,
): Promise<void> {
  for (const [index, { path, before }] of changes.entries()) {
    if (before === undefined) continue;
    const [from, to] = [guestPath(root, path), `${staging}/old-${index}`];
    await files.rename(from, to);
    undo.push(() => files.rename(to, from));
  }
  for (const path of missingDirectories) {
    const directory = guestPath(root, path);
    await files.mkdir(directory, owner);
    undo.push(() => files.remove(directory));
  }
  for (const [index, { path, after }] of changes.entries()) {
    if (after === undefined) continue;
    const to = guestPath(root, path);
    await files.rename(`${staging}/${newName(index)}`, to);
    undo.push(() => files.remove(to));
  }
}

/** As Git does: a directory whose last file a patch takes away goes with it. */
async function removeEmptied(
  { files, root }: GuestPlace,
  { changes }: { readonly changes: readonly PlannedChange[] },
): Promise<void> {
  for (const { path, after } of changes) {
    if (after !== undefined) continue;
    let directory = path;
    while (directory.includes('/')) {
      directory = directory.slice(0, directory.lastIndexOf('/'));
      // Not empty, or gone already: both are fine.
      const removed = await files.remove(guestPath(root, directory)).then(
        () => true,
        () => false,
      );
      if (!removed) break;
    }
  }
}
