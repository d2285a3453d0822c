/** The paths in the headers of a patch, their quotes, prefixes and times taken off. */
import { unquotePath } from './git-path.js';
import type { PatchLines } from './patch-lines.js';

export interface HeaderPath {
  readonly raw: string;
}

export interface PathPair {
  /** undefined: the file is new. */
  readonly old: HeaderPath | undefined;
  /** undefined: the file goes. */
  readonly next: HeaderPath | undefined;
}

/** Reads a `---` or `+++` line; undefined for /dev/null. */
export function fileLinePath(lines: PatchLines): HeaderPath | undefined {
  const line = lines
    .next()
    .slice(4)
    .replace(/\r?\n$/, '');
  const quoted = unquotePath(line);
  // Behind a tab comes a time.
  const raw = quoted?.path ?? line.replace(/\t.*$/s, '').replace(/ +$/, '');
  return raw === '/dev/null' ? undefined : { raw };
}

/** The paths of `---` and `+++` without the prefixes `a/` and `b/`, where both have them. */
export function headerPath(
  old: HeaderPath | undefined,
  next: HeaderPath | undefined,
  lines: PatchLines,
): PathPair {
  if (old === undefined && next === undefined) throw lines.invalid('a file that was and is /dev/null');
  const isPrefixed = (old?.raw.startsWith('a/') ?? true) && (next?.raw.startsWith('b/') ?? true);
  const strip = (path: HeaderPath | undefined): HeaderPath | undefined =>
    path === undefined || !isPrefixed ? path : { raw: path.raw.slice(2) };
  return { old: strip(old), next: strip(next) };
}

/**
 * The paths of a `diff --git a/… b/…` line. Without quotes nothing says where one ends, so they count only when
 * both are the same; else other lines of the header have them.
 */
export function gitLinePaths(line: string): PathPair | undefined {
  const rest = line.slice('diff --git '.length).replace(/\r?\n$/, '');
  const first = unquotePath(rest);
  if (first !== undefined) {
    const second = rest.slice(first.length + 1);
    return pairOf(first.path, unquotePath(second)?.path ?? second);
  }
  // `a/X b/X`: twice the same length with one space between.
  const half = (rest.length - 1) / 2;
  const [old, next] = [rest.slice(0, half), rest.slice(half + 1)];
  if (Number.isInteger(half) && rest.charAt(half) === ' ' && old.slice(2) === next.slice(2)) {
    return pairOf(old, next);
  }
  const quoted = /^(\S+) (".*")$/.exec(rest);
  const second = quoted === null ? undefined : unquotePath(quoted[2] ?? '');
  return second === undefined ? undefined : pairOf(quoted?.[1] ?? '', second.path);
}

function pairOf(old: string, next: string): PathPair | undefined {
  if (!old.startsWith('a/') || !next.startsWith('b/')) return undefined;
  return { old: { raw: old.slice(2) }, next: { raw: next.slice(2) } };
}
