/**
 * Which lines of one text have to go, and which of another to come, to get from the one to the other.
 *
 * Source: E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1 (1986). The number of
 * steps is bounded: of texts that differ in more, what lies between their common beginning and end is one change.
 */

/** Lines `oldStart..` of the old text, counted from 0, make room for lines `newStart..` of the new one. */
export interface LineChange {
  readonly oldStart: number;
  readonly oldCount: number;
  readonly newStart: number;
  readonly newCount: number;
}

/** Lines that go and come, together; the memory of a search is the square of it, 4 bytes each. */
const MAX_EDITS = 1500;

/** The lines of a text, each with its newline; the last may have none. `''` has no line. */
export function splitLines(text: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const end = newline === -1 ? text.length : newline + 1;
    lines.push(text.slice(at, end));
    at = end;
  }
  return lines;
}

/** Changes in order, none touching another; with fewest lines where at most `maxEdits` lines go and come. */
export function diffLines(
  old: readonly string[],
  next: readonly string[],
  maxEdits: number = MAX_EDITS,
): LineChange[] {
  let prefix = 0;
  while (prefix < old.length && prefix < next.length && old[prefix] === next[prefix]) prefix += 1;
  let suffix = 0;
  const most = Math.min(old.length, next.length) - prefix;
  while (suffix < most && old[old.length - 1 - suffix] === next[next.length - 1 - suffix]) suffix += 1;
  const oldCount = old.length - prefix - suffix;
  const newCount = next.length - prefix - suffix;
  if (oldCount === 0 && newCount === 0) return [];
  const whole = [{ oldStart: prefix, oldCount, newStart: prefix, newCount }];
  if (oldCount === 0 || newCount === 0) return whole;
  const numbers = new Map<string, number>();
  const numbered = (lines: readonly string[], count: number): Int32Array =>
    Int32Array.from(lines.slice(prefix, prefix + count), (line) => {
      const known = numbers.get(line) ?? numbers.size;
      numbers.set(line, known);
      return known;
    });
  const found = shortestEdit(numbered(old, oldCount), numbered(next, newCount), maxEdits);
  return found === undefined
    ? whole
    : found.map((change) => ({
        ...change,
        oldStart: change.oldStart + prefix,
        newStart: change.newStart + prefix,
      }));
}

function shortestEdit(old: Int32Array, next: Int32Array, maxEdits: number): LineChange[] | undefined {
  const most = Math.min(old.length + next.length, maxEdits);
  const middle = most + 1;
  /** Of each diagonal (old position minus new position) the furthest old position reached. */
  const reach = new Int32Array(2 * most + 3);
  const at = (values: Int32Array, index: number): number => values[index] ?? 0;
  /** What `reach` was before each number of edits, diagonals -edits-1..edits+1. */
  const history: Int32Array[] = [];
  for (let edits = 0; edits <= most; edits += 1) {
    history.push(reach.slice(middle - edits - 1, middle + edits + 2));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      const below = at(reach, middle + diagonal + 1);
      const beside = at(reach, middle + diagonal - 1);
      const comes = diagonal === -edits || (diagonal !== edits && beside < below);
      let x = comes ? below : beside + 1;
      let y = x - diagonal;
      while (x < old.length && y < next.length && old[x] === next[y]) {
        x += 1;
        y += 1;
      }
      reach[middle + diagonal] = x;
      if (x >= old.length && y >= next.length) return walkBack(history, old.length, next.length);
    }
  }
  return undefined;
}

/** From the end to the beginning; single edits that touch become one change. */
function walkBack(history: readonly Int32Array[], oldLength: number, newLength: number): LineChange[] {
  const changes: LineChange[] = [];
  let x = oldLength;
  let y = newLength;
  for (let edits = history.length - 1; edits > 0; edits -= 1) {
    const reach = history[edits] ?? new Int32Array(0);
    const middle = edits + 1;
    const diagonal = x - y;
    const below = reach[middle + diagonal + 1] ?? 0;
    const beside = reach[middle + diagonal - 1] ?? 0;
    const comes = diagonal === -edits || (diagonal !== edits && beside < below);
    const fromX = comes ? below : beside;
    const fromY = fromX - (comes ? diagonal + 1 : diagonal - 1);
    const single: LineChange = comes
      ? { oldStart: fromX, oldCount: 0, newStart: fromY, newCount: 1 }
      : { oldStart: fromX, oldCount: 1, newStart: fromY, newCount: 0 };
    const last = changes.at(-1);
    const touches =
      last !== undefined &&
      single.oldStart + single.oldCount === last.oldStart &&
      single.newStart + single.newCount === last.newStart;
    if (touches) {
      changes[changes.length - 1] = {
        oldStart: single.oldStart,
        oldCount: single.oldCount + last.oldCount,
        newStart: single.newStart,
        newCount: single.newCount + last.newCount,
      };
    } else changes.push(single);
    x = fromX;
    y = fromY;
  }
  return changes.reverse();
}
