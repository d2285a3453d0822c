/** The difference of a workspace from its baseline as a patch that `git apply` takes. */
import { createHash } from 'node:crypto';
import { HearthError } from '../../errors/index.js';
import { displayPath, type FileVersion, formatChange, gitMode } from '../../patch/index.js';
import type { Baseline } from './baseline.js';
import type { BaselineEntry } from './baseline-entry.js';
import { type Difference, type FindOptions, findDifferences, isExecutable } from './find-changes.js';
import { type GuestPlace, guestPath } from './guest-place.js';

export interface DiffOptions extends FindOptions {
  /** Also the bytes of binary files. Default: a remark in their place. */
  readonly binary?: boolean | undefined;
  /** Of the patch; files beyond are told, not shown. Default 4 MiB. */
  readonly maxPatchBytes?: number | undefined;
}

export interface ChangedFile {
  /** As text, bytes that are none escaped. */
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted' | 'special';
  /** As Git has them: 100644, 100755, 120000; null where there is no file. */
  readonly oldMode: string | null;
  readonly newMode: string | null;
  readonly binary: boolean;
  readonly addedLines: number;
  readonly removedLines: number;
  /** The patch has all of it: false for binary files left out, for large ones, and beyond the patch's limit. */
  readonly inPatch: boolean;
}

export interface WorkspaceDiff {
  readonly patch: string;
  readonly files: readonly ChangedFile[];
  /** Files that the patch has nothing or only a remark of. */
  readonly leftOutCount: number;
}

const DEFAULT_PATCH_BYTES = 4 * 1024 * 1024;
/** Files above are told, not shown. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const MAX_CHANGED_FILES = 20_000;
const AT_ONCE = 16;

/** @throws {HearthError} `ENTRIES_TOO_MANY`, `STORE_CORRUPT`, and those of the agent. */
export async function diffWorkspace(
  place: GuestPlace,
  baseline: Baseline,
  options: DiffOptions = {},
): Promise<WorkspaceDiff> {
  const { maxPatchBytes = DEFAULT_PATCH_BYTES, binary = false, signal } = options;
  const differences = await findDifferences(place, baseline, options);
  if (differences.length > MAX_CHANGED_FILES) throw tooMany(differences.length);
  const pieces: string[] = [];
  const files: ChangedFile[] = [];
  let patchBytes = 0;
  for (let start = 0; start < differences.length; start += AT_ONCE) {
    signal?.throwIfAborted();
    const batch = differences.slice(start, start + AT_ONCE);
    const isFull = patchBytes >= maxPatchBytes;
    const shown = await Promise.all(
      batch.map((one) => showDifference(place, baseline, one, { binary, isFull, signal })),
    );
    for (const one of shown) {
      if (one === undefined) continue;
      const bytes = Buffer.byteLength(one.text);
      const fits = patchBytes + bytes <= maxPatchBytes;
      patchBytes = fits ? patchBytes + bytes : Math.max(patchBytes, maxPatchBytes);
      if (fits) pieces.push(one.text);
      files.push({ ...one.file, inPatch: fits && one.file.inPatch });
    }
  }
  return {
    patch: pieces.join(''),
    files,
    leftOutCount: files.filter(({ inPatch }) => !inPatch).length,
  };
}

interface Shown {
  readonly text: string;
  readonly file: ChangedFile;
}

/** undefined: it is no difference after all. */
async function showDifference(
  place: GuestPlace,
  baseline: Baseline,
  difference: Difference,
  { binary, isFull, signal }: { binary: boolean; isFull: boolean; signal: AbortSignal | undefined },
): Promise<Shown | undefined> {
  const { path, old, next } = difference;
  const file: ChangedFile = {
    path: displayPath(path),
    change: old === undefined ? 'added' : next === undefined ? 'deleted' : 'modified',
    oldMode: old === undefined ? null : modeOf(old),
    newMode: next === undefined ? null : modeOf(next),
    binary: false,
    addedLines: 0,
    removedLines: 0,
    inPatch: false,
  };
  if (next !== undefined && next.kind !== 'file' && next.kind !== 'symlink') {
    return { text: `# ${next.kind} left out: ${file.path}\n`, file: { ...file, change: 'special' } };
  }
  const isLarge = Math.max(old?.sizeBytes ?? 0, next?.kind === 'file' ? next.sizeBytes : 0) > MAX_FILE_BYTES;
  if (isLarge || isFull) {
    if (next !== undefined && (await isUnchanged(place, difference, signal))) return undefined;
    const sizes = `${next?.sizeBytes ?? 0} bytes`;
    return { text: isFull ? '' : `# large file left out: ${file.path} (${sizes})\n`, file };
  }
  const newContent = next === undefined ? undefined : await readVersion(place, difference, signal);
  // It went away while we looked.
  if (next !== undefined && newContent === undefined) {
    return old === undefined
      ? undefined
      : await showDifference(place, baseline, { path, old, next: undefined }, { binary, isFull, signal });
  }
  const oldContent = old === undefined ? undefined : await oldVersion(baseline, old);
  if (oldContent !== undefined && newContent !== undefined && isSame(oldContent, newContent))
    return undefined;
  const { text, isBinary, isComplete, addedLines, removedLines } = formatChange(
    path,
    oldContent,
    newContent,
    { binary },
  );
  return { text, file: { ...file, binary: isBinary, addedLines, removedLines, inPatch: isComplete } };
}

function modeOf({ kind, mode }: { readonly kind: string; readonly mode: number }): string | null {
  if (kind !== 'file' && kind !== 'symlink') return null;
  return gitMode({ kind, executable: isExecutable(mode) });
}

async function readVersion(
  { files, root }: GuestPlace,
  { path, next }: Difference,
  signal: AbortSignal | undefined,
): Promise<FileVersion | undefined> {
  if (next === undefined) return undefined;
  if (next.kind === 'symlink') {
    return { kind: 'symlink', executable: false, content: Buffer.from(next.target) };
  }
  try {
    const content = await files.read(guestPath(root, path), {
      maxBytes: 2 * MAX_FILE_BYTES,
      ...(signal === undefined ? {} : { signal }),
    });
    return { kind: 'file', executable: isExecutable(next.mode), content };
  } catch (error) {
    if (HearthError.is(error) && error.code === 'GUEST_FILE_NOT_FOUND') return undefined;
    throw error;
  }
}

async function oldVersion(baseline: Baseline, old: BaselineEntry): Promise<FileVersion> {
  if (old.kind === 'symlink') {
    return { kind: 'symlink', executable: false, content: Buffer.from(old.target, 'latin1') };
  }
  return { kind: 'file', executable: isExecutable(old.mode), content: await baseline.read(old) };
}

function isSame(one: FileVersion, other: FileVersion): boolean {
  return one.kind === other.kind && one.executable === other.executable && one.content.equals(other.content);
}

/** Compares a file with the baseline without holding either. */
async function isUnchanged(
  { files, root }: GuestPlace,
  { path, old, next }: Difference,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (old?.kind !== 'file' || next?.kind !== 'file' || old.sizeBytes !== next.sizeBytes) return false;
  if (isExecutable(old.mode) !== isExecutable(next.mode)) return false;
  const hash = createHash('sha256');
  try {
    for await (const chunk of files.open(guestPath(root, path), signal === undefined ? {} : { signal })) {
      hash.update(chunk as Uint8Array);
    }
  } catch (error) {
    if (HearthError.is(error) && error.code === 'GUEST_FILE_NOT_FOUND') return false;
    throw error;
  }
  return hash.digest('hex') === old.sha256;
}

function tooMany(count: number): HearthError {
  return new HearthError('ENTRIES_TOO_MANY', `${count} files of the workspace have changed`, {
    hint: `At most ${MAX_CHANGED_FILES} are shown: name the paths to look at, or leave build results elsewhere.`,
    details: { changedFiles: count, maxChangedFiles: MAX_CHANGED_FILES },
  });
}
