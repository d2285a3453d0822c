/**
 * Reads unified patches: those of Git with all their headers, and plain ones (`---`, `+++`, `@@`). Whatever stands
 * between them (mail, remarks) is passed over.
 *
 * Source: git-apply(1), git-diff(1), and apply.c of Git where they leave something open.
 */
import { HearthError } from '../errors/index.js';
import { type BinaryHunk, readBinaryHunk } from './binary-hunk.js';
import type { GitMode } from './file-version.js';
import { assertPatchPath } from './git-path.js';
import { PatchLines } from './patch-lines.js';
import { fileLinePath, gitLinePaths, type HeaderPath, headerPath, type PathPair } from './patch-paths.js';

export interface Hunk {
  /** First line of the old text, counted from 1; with no line of it, the one before. */
  readonly oldStart: number;
  readonly oldLines: readonly string[];
  readonly newLines: readonly string[];
  /** Where it stands in the patch. */
  readonly line: number;
}

/** What is to be done to one file; paths are latin1. */
export interface FilePatch {
  readonly action: 'create' | 'modify' | 'delete' | 'rename' | 'copy';
  readonly path: string;
  /** Of a rename or copy: where it comes from. */
  readonly from: string | undefined;
  /** What it has to be before, where the patch says so. */
  readonly oldMode: GitMode | undefined;
  readonly newMode: GitMode | undefined;
  readonly hunks: readonly Hunk[];
  readonly binary: BinaryHunk | undefined;
  /** Where it stands in the patch. */
  readonly line: number;
}

export interface PatchLimits {
  readonly maxBytes: number;
  readonly maxFiles: number;
}

export const PATCH_LIMITS: PatchLimits = { maxBytes: 8 * 1024 * 1024, maxFiles: 5000 };

const HUNK = /^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@/;

/**
 * @throws {HearthError} `PATCH_INVALID` with `details.line`, `PATH_ESCAPES_ROOT`, `PATCH_TOO_LARGE`.
 */
export function parsePatch(patch: Buffer, limits: PatchLimits = PATCH_LIMITS): FilePatch[] {
  if (patch.byteLength > limits.maxBytes) {
    throw tooLarge(`${patch.byteLength} bytes`, `${limits.maxBytes} bytes`);
  }
  const lines = new PatchLines(patch.toString('latin1'));
  const files: FilePatch[] = [];
  while (!lines.atEnd) {
    const line = lines.peek();
    const isGit = line.startsWith('diff --git ');
    if (!isGit && line.startsWith('@@ -')) throw lines.invalid('a hunk that belongs to no file');
    if (!isGit && !isFileHeader(lines)) {
      lines.next();
      continue;
    }
    if (files.length >= limits.maxFiles) throw tooLarge('more files', `${limits.maxFiles} files`);
    files.push(isGit ? readGitFile(lines) : readPlainFile(lines));
  }
  if (files.length > 0) return files;
  throw new HearthError('PATCH_INVALID', 'there is no patch in what was given', {
    hint: 'Give a unified diff, for example the output of `git diff`.',
    details: { line: 1, patchBytes: patch.byteLength },
  });
}

function tooLarge(what: string, limit: string): HearthError {
  return new HearthError('PATCH_TOO_LARGE', `a patch of ${what}; at most ${limit} are taken`, {
    hint: 'Split it, or copy the files with `hearth workspace push`.',
    details: { limit },
  });
}

function isFileHeader(lines: PatchLines): boolean {
  return lines.peek().startsWith('--- ') && lines.peek(1).startsWith('+++ ');
}

function readPlainFile(lines: PatchLines): FilePatch {
  const line = lines.number;
  const pair = headerPath(fileLinePath(lines), fileLinePath(lines), lines);
  return finish(lines, line, pair, {}, readHunks(lines), undefined);
}

interface Extended {
  oldMode?: GitMode;
  newMode?: GitMode;
  action?: FilePatch['action'];
  from?: HeaderPath;
  to?: HeaderPath;
}

function readGitFile(lines: PatchLines): FilePatch {
  const start = lines.number;
  let pair: PathPair | undefined = gitLinePaths(lines.next());
  const extended: Extended = {};
  while (readExtended(lines, extended));
  if (extended.from !== undefined && extended.to !== undefined) {
    pair = { old: extended.from, next: extended.to };
  }
  let binary: BinaryHunk | undefined;
  let hunks: Hunk[] = [];
  if (isFileHeader(lines)) {
    pair = headerPath(fileLinePath(lines), fileLinePath(lines), lines);
    hunks = readHunks(lines);
  } else if (lines.peek().startsWith('GIT binary patch')) {
    binary = readBinaryHunk(lines);
  } else if (/^Binary files? .* differ/.test(lines.peek())) {
    if (extended.action !== 'delete') {
      throw lines.invalid('a binary file without its bytes', 'Make the patch with `git diff --binary`.');
    }
    lines.next();
  }
  if (pair === undefined) throw lines.invalid('a header whose paths cannot be told apart');
  if (extended.action === 'create') pair = { old: undefined, next: pair.next };
  if (extended.action === 'delete') pair = { old: pair.old, next: undefined };
  return finish(lines, start, pair, extended, hunks, binary);
}

/** One line of a Git header. @returns false at the first line that is none. */
function readExtended(lines: PatchLines, extended: Extended): boolean {
  const line = lines.peek().trimEnd();
  const mode = (prefix: string): GitMode | undefined => modeOf(line.slice(prefix.length), lines);
  if (line.startsWith('old mode ')) assign(extended, 'oldMode', mode('old mode '));
  else if (line.startsWith('new mode ')) assign(extended, 'newMode', mode('new mode '));
  else if (line.startsWith('new file mode ')) {
    assign(extended, 'newMode', mode('new file mode '));
    extended.action = 'create';
  } else if (line.startsWith('deleted file mode ')) {
    assign(extended, 'oldMode', mode('deleted file mode '));
    extended.action = 'delete';
  } else if (/^(rename|copy) (from|to) /.test(line)) {
    extended.action = line.startsWith('rename') ? 'rename' : 'copy';
    const field = line.split(' ', 2)[1] === 'from' ? 'from' : 'to';
    extended[field] = wholePath(line.slice(line.indexOf(` ${field} `) + field.length + 2), lines);
  } else if (line.startsWith('index ')) {
    const known = /^index [0-9a-f]+\.\.[0-9a-f]+ (\d{6})$/.exec(line)?.[1];
    if (known !== undefined) assign(extended, 'oldMode', modeOf(known, lines));
  } else if (!/^(dis)?similarity index \d+%$/.test(line)) return false;
  lines.next();
  return true;
}

function assign(extended: Extended, field: 'oldMode' | 'newMode', mode: GitMode | undefined): void {
  if (mode !== undefined) extended[field] = mode;
}

function wholePath(text: string, lines: PatchLines): HeaderPath {
  return fileLinePath(new PatchLines(`--- ${text}\n`, lines.number)) ?? { raw: text };
}

function modeOf(text: string, lines: PatchLines): GitMode {
  if (text === '100644' || text === '100755' || text === '120000') return text;
  // Other permissions than these two Git writes as the nearer of them.
  if (/^100[0-7]{3}$/.test(text)) return (Number.parseInt(text, 8) & 0o100) === 0 ? '100644' : '100755';
  throw lines.invalid(`a file of mode ${text.slice(0, 16)}`, 'Leave submodules and special files out.');
}

function finish(
  lines: PatchLines,
  line: number,
  pair: PathPair,
  extended: Extended,
  hunks: readonly Hunk[],
  binary: BinaryHunk | undefined,
): FilePatch {
  const [old, next] = [pair.old?.raw, pair.next?.raw];
  const path = next ?? old;
  if (path === undefined) throw lines.invalid('a file without a path');
  for (const one of [old, next]) if (one !== undefined) assertPatchPath(one, line);
  const isMoved = extended.action === 'rename' || extended.action === 'copy';
  if (!isMoved && old !== undefined && next !== undefined && old !== next) {
    throw lines.invalid('two paths for one file', 'Use the same path in `---` and `+++`.');
  }
  const action = isMoved
    ? (extended.action ?? 'rename')
    : old === undefined
      ? 'create'
      : next === undefined
        ? 'delete'
        : 'modify';
  const hasNothing = hunks.length === 0 && binary === undefined && extended.newMode === undefined;
  if (action === 'modify' && hasNothing) throw lines.invalid('a file with no change');
  return {
    action,
    path,
    from: isMoved ? old : undefined,
    oldMode: extended.oldMode,
    newMode: extended.newMode,
    hunks,
    binary,
    line,
  };
}

function readHunks(lines: PatchLines): Hunk[] {
  const hunks: Hunk[] = [];
  while (lines.peek().startsWith('@@ ')) hunks.push(readHunk(lines));
  if (hunks.length === 0)
    throw lines.invalid('a file without a hunk', 'Write `@@ -1,3 +1,4 @@` before its lines.');
  return hunks;
}

function readHunk(lines: PatchLines): Hunk {
  const line = lines.number;
  const found = HUNK.exec(lines.next());
  if (found === null) {
    throw lines.invalid('a hunk without line numbers', 'Write them as `@@ -12,3 +12,4 @@`.', line);
  }
  const [oldStart, oldCount, newCount] = [found[1], found[2] ?? '1', found[4] ?? '1'].map(Number);
  const oldLines: string[] = [];
  const newLines: string[] = [];
  let last: 'old' | 'new' | 'both' = 'both';
  const isFull = (): boolean => oldLines.length >= (oldCount ?? 0) && newLines.length >= (newCount ?? 0);
  for (;;) {
    const body = lines.peek();
    if (body.startsWith('\\')) {
      // "No newline at end of file": of the line before, on its side.
      if (last !== 'new') cutNewline(oldLines);
      if (last !== 'old') cutNewline(newLines);
      lines.next();
      continue;
    }
    if (isFull()) break;
    const sign = body === '' ? '' : body === '\n' || body === '\r\n' ? ' ' : body.charAt(0);
    const text = body === '\n' || body === '\r\n' ? body : withNewline(body.slice(1));
    if (sign !== ' ' && sign !== '-' && sign !== '+') {
      throw lines.invalid(
        `a hunk with ${oldLines.length} old and ${newLines.length} new lines where its header says ${oldCount} and ${newCount}`,
        'Count the lines again: the header has old and new lines, those of the context in both.',
        line,
      );
    }
    if (sign !== '+') oldLines.push(text);
    if (sign !== '-') newLines.push(text);
    last = sign === '+' ? 'new' : sign === '-' ? 'old' : 'both';
    lines.next();
    if (oldLines.length > (oldCount ?? 0) || newLines.length > (newCount ?? 0)) {
      throw lines.invalid(
        `a hunk with more lines than the ${oldCount} old and ${newCount} new ones of its header`,
        'Count the lines again: the header has old and new lines, those of the context in both.',
        line,
      );
    }
  }
  return { oldStart: oldStart ?? 0, oldLines, newLines, line };
}

/** The last line of a patch may have lost its own newline on the way. */
function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

function cutNewline(lines: string[]): void {
  const last = lines.at(-1);
  if (last?.endsWith('\n') === true) lines[lines.length - 1] = last.slice(0, -1);
}
