/** Puts hunks into a text. Their lines have to be there exactly; where they are may have moved. */
import { splitLines } from './line-diff.js';
import type { Hunk } from './parse-patch.js';

export type HunksApplied =
  | { readonly ok: true; readonly text: string }
  | {
      readonly ok: false;
      /** Counted from 1. */
      readonly hunk: number;
      /** The line of the text at which the hunk would stand. */
      readonly line: number;
      /** The first line of the hunk that is not there, and what is in its place; latin1. */
      readonly expected: string;
      readonly found: string | undefined;
    };

/** @param text latin1, like the lines of the hunks. */
export function applyHunks(text: string, hunks: readonly Hunk[]): HunksApplied {
  const lines = splitLines(text);
  const result: string[] = [];
  let done = 0;
  /** How far the text has moved against the patch so far. */
  let drift = 0;
  for (const [index, hunk] of hunks.entries()) {
    const { oldLines, newLines, oldStart } = hunk;
    const wanted = (oldLines.length === 0 ? oldStart : oldStart - 1) + drift;
    const at = findLines(lines, oldLines, wanted, done);
    if (at === undefined) return { ok: false, hunk: index + 1, ...firstDifference(lines, oldLines, wanted) };
    for (; done < at; done += 1) result.push(lines[done] ?? '');
    result.push(...newLines);
    done = at + oldLines.length;
    drift = at - (wanted - drift);
  }
  // A line without a newline stands at the end or nowhere.
  const rest = lines.slice(done);
  const joined = [...result, ...rest];
  for (let index = 0; index + 1 < joined.length; index += 1) {
    if (joined[index]?.endsWith('\n') === false) joined[index] += '\n';
  }
  return { ok: true, text: joined.join('') };
}

/** The place nearest to `wanted`, not before `from`. */
function findLines(
  lines: readonly string[],
  searched: readonly string[],
  wanted: number,
  from: number,
): number | undefined {
  const last = lines.length - searched.length;
  if (last < from) return undefined;
  const start = Math.min(Math.max(wanted, from), last);
  const fits = (at: number): boolean => searched.every((line, index) => lines[at + index] === line);
  for (let distance = 0; start - distance >= from || start + distance <= last; distance += 1) {
    if (start + distance <= last && fits(start + distance)) return start + distance;
    if (start - distance >= from && fits(start - distance)) return start - distance;
  }
  return undefined;
}

function firstDifference(
  lines: readonly string[],
  searched: readonly string[],
  wanted: number,
): { line: number; expected: string; found: string | undefined } {
  const at = Math.max(0, wanted);
  const index = searched.findIndex((line, offset) => lines[at + offset] !== line);
  const offset = Math.max(0, index);
  return { line: at + offset + 1, expected: searched[offset] ?? '', found: lines[at + offset] };
}
