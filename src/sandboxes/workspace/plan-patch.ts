/** Works out what a patch would make of the files of a workspace, and changes nothing. */
import { HearthError } from '../../errors/index.js';
import {
  applyBinary,
  applyHunks,
  displayPath,
  type FilePatch,
  type FileVersion,
  type GitMode,
  gitMode,
} from '../../patch/index.js';
import { isExecutable } from './find-changes.js';
import { type GuestPlace, guestPath } from './guest-place.js';

/** A file as it is in the guest. */
export interface PresentFile extends FileVersion {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface PlannedChange {
  /** latin1 */
  readonly path: string;
  readonly before: PresentFile | undefined;
  readonly after: FileVersion | undefined;
}

export interface PatchConflict {
  readonly path: string;
  /** Counted from 1; null where it is not about one. */
  readonly hunk: number | null;
  /** Line of the file; null where it is not about one. */
  readonly line: number | null;
  readonly reason: string;
}

export interface PatchPlan {
  readonly changes: readonly PlannedChange[];
  readonly conflicts: readonly PatchConflict[];
  /** Directories that are not there yet, a parent before its children. */
  readonly missingDirectories: readonly string[];
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_TOTAL_BYTES = 128 * 1024 * 1024;
const MAX_CONFLICTS = 50;
const SHOWN_LINE_CHARS = 120;

/** @throws {HearthError} `PATCH_TOO_LARGE` and those of the agent; what does not fit is told as conflicts. */
export async function planPatch(
  place: GuestPlace,
  patches: readonly FilePatch[],
  signal?: AbortSignal,
): Promise<PatchPlan> {
  const planner = new Planner(place, signal);
  for (const patch of patches) {
    signal?.throwIfAborted();
    const conflict = await planner.take(patch);
    if (conflict !== undefined) planner.conflicts.push(conflict);
    if (planner.conflicts.length >= MAX_CONFLICTS) break;
  }
  return planner.plan();
}

/** Why a path cannot be used. */
class Refused extends Error {}

class Planner {
  readonly conflicts: PatchConflict[] = [];
  readonly #place: GuestPlace;
  readonly #signal: AbortSignal | undefined;
  readonly #before = new Map<string, PresentFile | undefined>();
  readonly #after = new Map<string, FileVersion | undefined>();
  /** Whether each directory on the way is there. */
  readonly #directories = new Map<string, boolean>();
  #heldBytes = 0;

  constructor(place: GuestPlace, signal: AbortSignal | undefined) {
    this.#place = place;
    this.#signal = signal;
  }

  plan(): PatchPlan {
    const changes = [...this.#after].map(([path, after]) => ({
      path,
      before: this.#before.get(path),
      after,
    }));
    const needed = new Set(
      changes.filter(({ after }) => after !== undefined).flatMap(({ path }) => parentsOf(path)),
    );
    return {
      changes: changes.filter(({ before, after }) => before !== undefined || after !== undefined),
      conflicts: this.conflicts,
      missingDirectories: [...needed].filter((path) => this.#directories.get(path) !== true).sort(),
    };
  }

  async take(patch: FilePatch): Promise<PatchConflict | undefined> {
    const { action, path, from } = patch;
    const conflict = (reason: string, at: Partial<PatchConflict> = {}): PatchConflict => ({
      path: displayPath(path),
      hunk: null,
      line: null,
      reason,
      ...at,
    });
    try {
      const source = await this.#load(from ?? path);
      const isNew = action === 'create' || action === 'rename' || action === 'copy';
      const target = from === undefined ? source : await this.#load(path);
      if (isNew && target !== undefined) return conflict('it exists already');
      if (action !== 'create' && source === undefined) return conflict('there is no such file');
      if (patch.oldMode !== undefined && source !== undefined && !isSameKind(patch.oldMode, source)) {
        return conflict(`it is a ${source.kind} and not what the patch is for`);
      }
      const made = this.#make(patch, source);
      if ('reason' in made) return conflict(made.reason, made.at);
      if (action === 'rename' && from !== undefined) this.#set(from, undefined);
      if (action === 'delete' && made.content.byteLength > 0 && patch.hunks.length > 0) {
        return conflict('it has more lines than the patch takes away');
      }
      this.#set(path, action === 'delete' ? undefined : made);
      return undefined;
    } catch (error) {
      if (error instanceof Refused) return conflict(error.message);
      throw error;
    }
  }

  #make(
    { hunks, binary, newMode, action }: FilePatch,
    source: FileVersion | undefined,
  ): FileVersion | { readonly reason: string; readonly at: Partial<PatchConflict> } {
    const old = source?.content ?? Buffer.alloc(0);
    const mode = newMode ?? (source === undefined ? '100644' : gitMode(source));
    const version = { kind: mode === '120000' ? 'symlink' : 'file', executable: mode === '100755' } as const;
    if (binary !== undefined) {
      const content = applyBinary(old, binary);
      return content === undefined
        ? { reason: 'its bytes are not those that the patch is for', at: {} }
        : { ...version, content };
    }
    if (hunks.length === 0) return { ...version, content: action === 'delete' ? Buffer.alloc(0) : old };
    const applied = applyHunks(old.toString('latin1'), hunks);
    if (applied.ok) return { ...version, content: Buffer.from(applied.text, 'latin1') };
    const { hunk, line, expected, found } = applied;
    const there = found === undefined ? 'the end of the file' : shownLine(found);
    return { reason: `expected ${shownLine(expected)}, found ${there}`, at: { hunk, line } };
  }

  #set(path: string, version: FileVersion | undefined): void {
    this.#after.set(path, version);
    this.#hold(version?.content.byteLength ?? 0);
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    if (this.#heldBytes <= MAX_TOTAL_BYTES) return;
    throw new HearthError('PATCH_TOO_LARGE', `a patch for files of more than ${MAX_TOTAL_BYTES} bytes`, {
      hint: 'Split it into patches for fewer files.',
      details: { maxBytes: MAX_TOTAL_BYTES },
    });
  }

  /** The file as it is after what was taken so far. */
  async #load(path: string): Promise<FileVersion | undefined> {
    await this.#checkParents(path);
    if (this.#after.has(path)) return this.#after.get(path);
    if (!this.#before.has(path)) this.#before.set(path, await this.#read(path));
    return this.#before.get(path);
  }

  async #read(path: string): Promise<PresentFile | undefined> {
    const { files, root } = this.#place;
    const options = this.#signal === undefined ? {} : { signal: this.#signal };
    const place = guestPath(root, path);
    const status = await unlessMissing(files.stat(place, options));
    if (status === undefined) return undefined;
    const { kind, mode, uid, gid, sizeBytes, target } = status;
    const attributes = { mode, uid, gid, executable: isExecutable(mode) };
    if (kind === 'symlink') return { ...attributes, kind, executable: false, content: Buffer.from(target) };
    if (kind !== 'file') throw new Refused(`it is a ${kind}`);
    if (sizeBytes > MAX_FILE_BYTES)
      throw new Refused(`it has ${sizeBytes} bytes, at most ${MAX_FILE_BYTES} are patched`);
    const content = await files.read(place, { ...options, maxBytes: MAX_FILE_BYTES });
    this.#hold(content.byteLength);
    return { ...attributes, kind, content };
  }

  /** A patch does not reach through links: what lies behind them is not the workspace. */
  async #checkParents(path: string): Promise<void> {
    const { files, root } = this.#place;
    for (const parent of parentsOf(path)) {
      const planned = this.#after.get(parent);
      if (planned !== undefined) throw new Refused(`${displayPath(parent)} is a ${planned.kind}`);
      // A file that the patch has taken away makes room for a directory.
      if (this.#after.has(parent)) this.#directories.set(parent, false);
      if (this.#directories.has(parent)) continue;
      const status = await unlessMissing(files.stat(guestPath(root, parent)));
      if (status !== undefined && status.kind !== 'directory') {
        throw new Refused(`${displayPath(parent)} is a ${status.kind}`);
      }
      this.#directories.set(parent, status !== undefined);
    }
  }
}

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    parents.push(path.slice(0, slash));
  }
  return parents;
}

function isSameKind(mode: GitMode, { kind }: FileVersion): boolean {
  return (mode === '120000') === (kind === 'symlink');
}

function shownLine(line: string): string {
  const text = Buffer.from(line.replace(/\n$/, ''), 'latin1').toString('utf8');
  const cut = text.length > SHOWN_LINE_CHARS ? `${text.slice(0, SHOWN_LINE_CHARS)}…` : text;
  return line.endsWith('\n') ? JSON.stringify(cut) : `${JSON.stringify(cut)} without a newline`;
}

async function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (HearthError.is(error) && error.code === 'GUEST_FILE_NOT_FOUND') return undefined;
    throw error;
  }
}
