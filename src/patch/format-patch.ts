/**
 * The change of one file as Git writes it: applicable with `git apply`, and with a three-way merge where the
 * old contents are in the repository, because contents are named in full.
 *
 * Source: git-diff(1), "Generating patch text with -p", and apply.c of Git for what it reads.
 */
import { deflateSync } from 'node:zlib';
import { encodeBase85Lines } from './base85.js';
import { type FileVersion, gitBlobId, gitMode, isText } from './file-version.js';
import { displayPath, quotePath } from './git-path.js';
import { diffLines, type LineChange, splitLines } from './line-diff.js';

export interface FormatOptions {
  /** Also the bytes of binary files, in base 85; else a remark stands in their place. */
  readonly binary: boolean;
}

export interface FormattedChange {
  /** UTF-8 text. */
  readonly text: string;
  readonly isBinary: boolean;
  /** The patch has all of the change: false where a remark stands for a binary file. */
  readonly isComplete: boolean;
  readonly addedLines: number;
  readonly removedLines: number;
}

const CONTEXT_LINES = 3;
const NO_BLOB = '0'.repeat(40);
const NO_NEWLINE = '\n\\ No newline at end of file\n';

/**
 * @param path latin1.
 * @param old undefined: the file is new.
 * @param next undefined: the file is gone. Not both.
 */
export function formatChange(
  path: string,
  old: FileVersion | undefined,
  next: FileVersion | undefined,
  options: FormatOptions,
): FormattedChange {
  if (old !== undefined && next !== undefined && old.kind !== next.kind) {
    // A link cannot become a file: one goes, the other comes.
    const gone = formatChange(path, old, undefined, options);
    const come = formatChange(path, undefined, next, options);
    return {
      text: gone.text + come.text,
      isBinary: gone.isBinary || come.isBinary,
      isComplete: gone.isComplete && come.isComplete,
      addedLines: come.addedLines,
      removedLines: gone.removedLines,
    };
  }
  const isSame = old !== undefined && next !== undefined && old.content.equals(next.content);
  const isBinary = !isSame && ![old, next].every((side) => side === undefined || isText(side.content));
  const counts = { isBinary, isComplete: true, addedLines: 0, removedLines: 0 };
  const head = header(path, old, next, isSame);
  if (isSame || (old?.content.byteLength ?? 0) + (next?.content.byteLength ?? 0) === 0) {
    return { ...counts, text: text(head) };
  }
  if (isBinary) {
    if (next === undefined) {
      return { ...counts, text: text(`${head}Binary files ${quotePath(path, 'a/')} and /dev/null differ\n`) };
    }
    if (options.binary) return { ...counts, text: text(head + literal(next.content)) };
    const sizes = `${old === undefined ? 'new' : `${old.content.byteLength} bytes before`}, ${next.content.byteLength} bytes`;
    return {
      ...counts,
      isComplete: false,
      text: `# binary file left out: ${displayPath(path)} (${sizes})\n`,
    };
  }
  const before = splitLines(old?.content.toString('latin1') ?? '');
  const after = splitLines(next?.content.toString('latin1') ?? '');
  const changes = diffLines(before, after);
  const names = `--- ${fileLine(path, 'a/', old)}+++ ${fileLine(path, 'b/', next)}`;
  return {
    ...counts,
    text: text(head + names + hunks(before, after, changes)),
    addedLines: changes.reduce((sum, { newCount }) => sum + newCount, 0),
    removedLines: changes.reduce((sum, { oldCount }) => sum + oldCount, 0),
  };
}

const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8');

/** A name with a space ends in a tab, or whoever reads it takes the rest for a time. */
function fileLine(path: string, prefix: string, side: FileVersion | undefined): string {
  if (side === undefined) return '/dev/null\n';
  const quoted = quotePath(path, prefix);
  return quoted.includes(' ') && !quoted.startsWith('"') ? `${quoted}\t\n` : `${quoted}\n`;
}

function header(
  path: string,
  old: FileVersion | undefined,
  next: FileVersion | undefined,
  isSame: boolean,
): string {
  const lines = [`diff --git ${quotePath(path, 'a/')} ${quotePath(path, 'b/')}`];
  const [oldMode, newMode] = [old, next].map((side) => (side === undefined ? undefined : gitMode(side)));
  if (oldMode === undefined) lines.push(`new file mode ${newMode}`);
  else if (newMode === undefined) lines.push(`deleted file mode ${oldMode}`);
  else if (oldMode !== newMode) lines.push(`old mode ${oldMode}`, `new mode ${newMode}`);
  if (!isSame) {
    const [oldId, newId] = [old, next].map((side) =>
      side === undefined ? NO_BLOB : gitBlobId(side.content),
    );
    lines.push(`index ${oldId}..${newId}${oldMode === newMode ? ` ${oldMode}` : ''}`);
  }
  return `${lines.join('\n')}\n`;
}

function literal(content: Buffer): string {
  const lines = encodeBase85Lines(deflateSync(content));
  return `GIT binary patch\nliteral ${content.byteLength}\n${lines.join('\n')}\n\n`;
}

function hunks(before: readonly string[], after: readonly string[], changes: readonly LineChange[]): string {
  let result = '';
  for (let first = 0; first < changes.length; ) {
    let last = first;
    while (last + 1 < changes.length && gap(changes[last], changes[last + 1]) <= 2 * CONTEXT_LINES) last += 1;
    result += hunk(before, after, changes.slice(first, last + 1));
    first = last + 1;
  }
  return result;
}

function gap(one: LineChange | undefined, next: LineChange | undefined): number {
  return (next?.oldStart ?? 0) - (one?.oldStart ?? 0) - (one?.oldCount ?? 0);
}

function hunk(before: readonly string[], after: readonly string[], changes: readonly LineChange[]): string {
  const [first] = changes;
  const last = changes.at(-1);
  if (first === undefined || last === undefined) return '';
  const oldStart = Math.max(0, first.oldStart - CONTEXT_LINES);
  const newStart = first.newStart - (first.oldStart - oldStart);
  const oldEnd = Math.min(before.length, last.oldStart + last.oldCount + CONTEXT_LINES);
  const newEnd = last.newStart + last.newCount + (oldEnd - last.oldStart - last.oldCount);
  const lines: string[] = [];
  const push = (sign: string, line: string | undefined): void => {
    const body = line ?? '';
    lines.push(body.endsWith('\n') ? sign + body : sign + body + NO_NEWLINE);
  };
  let at = oldStart;
  for (const change of changes) {
    for (; at < change.oldStart; at += 1) push(' ', before[at]);
    for (; at < change.oldStart + change.oldCount; at += 1) push('-', before[at]);
    for (let index = 0; index < change.newCount; index += 1) push('+', after[change.newStart + index]);
  }
  for (; at < oldEnd; at += 1) push(' ', before[at]);
  const ranges = `-${range(oldStart, oldEnd)} +${range(newStart, newEnd)}`;
  return `@@ ${ranges} @@\n${lines.join('')}`;
}

/** Lines are counted from 1; a range without lines names the one before it. */
function range(start: number, end: number): string {
  const count = end - start;
  return count === 1 ? `${start + 1}` : `${count === 0 ? start : start + 1},${count}`;
}
