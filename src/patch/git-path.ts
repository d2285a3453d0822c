/**
 * Paths in patches. Inside, a path is relative, `/`-separated and latin1: one character a byte.
 *
 * Source: git-diff(1), "core.quotePath", and quote.c of Git: C-style quotes where a name has control characters,
 * quotes or backslashes. Names in UTF-8 stay readable; bytes that are not UTF-8 become octal.
 */
import { isUtf8 } from 'node:buffer';
import { HearthError } from '../errors/index.js';

const ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
};
const UNESCAPES = new Map(Object.entries(ESCAPES).map(([byte, text]) => [text.charAt(1), byte]));
const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;
const SHOWN_CHARS = 200;

const octal = (byte: string): string => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`;

/** `prefix` and path as Git writes them; latin1. */
export function quotePath(path: string, prefix = ''): string {
  const whole = prefix + path;
  const isText = isUtf8(Buffer.from(whole, 'latin1'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what has to be quoted
  const special = isText ? /["\\\u0000-\u001f\u007f]/g : /["\\\u0000-\u001f\u007f-\u00ff]/g;
  const escaped = whole.replace(special, (byte) => ESCAPES[byte] ?? octal(byte));
  return escaped === whole ? whole : `"${escaped}"`;
}

/** A path for people and JSON: as text, with what is not text or would move a cursor escaped. */
export function displayPath(path: string): string {
  const quoted = quotePath(path.length > SHOWN_CHARS ? path.slice(0, SHOWN_CHARS) : path);
  return Buffer.from(quoted, 'latin1').toString('utf8');
}

/**
 * Reads a quoted path at the start of `text`.
 *
 * @returns The path and how many characters it took; undefined when the quotes are not right.
 */
export function unquotePath(text: string): { readonly path: string; readonly length: number } | undefined {
  if (!text.startsWith('"')) return undefined;
  let path = '';
  for (let at = 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === '"') return { path, length: at + 1 };
    if (character !== '\\') {
      path += character;
      continue;
    }
    const digits = /^[0-3][0-7]{2}/.exec(text.slice(at + 1, at + 4))?.[0];
    const byte = digits === undefined ? UNESCAPES.get(text.charAt(at + 1)) : undefined;
    if (digits !== undefined) path += String.fromCharCode(Number.parseInt(digits, 8));
    else if (byte !== undefined) path += byte;
    else return undefined;
    at += digits === undefined ? 1 : digits.length;
  }
  return undefined;
}

/**
 * Refuses a path of a patch that would leave the tree it is for, or reach into a repository's own files.
 *
 * @throws {HearthError} `PATH_ESCAPES_ROOT`, `PATCH_INVALID`.
 */
export function assertPatchPath(path: string, line: number): void {
  const shown = displayPath(path);
  const details = { path: shown, line };
  const parts = path.split('/');
  if (path.startsWith('/') || parts.includes('..')) {
    throw new HearthError('PATH_ESCAPES_ROOT', `line ${line}: the path ${shown} leads out of the workspace`, {
      hint: 'Write paths relative to the workspace, for example a/src/main.c.',
      details,
    });
  }
  const isPlain =
    path.length <= MAX_PATH_BYTES &&
    !path.includes('\0') &&
    parts.every((part) => part !== '' && part !== '.' && part.length <= MAX_NAME_BYTES);
  if (!isPlain || parts.some((part) => part.toLowerCase() === '.git')) {
    throw new HearthError('PATCH_INVALID', `line ${line}: the path ${shown} cannot be patched`, {
      hint: 'Write plain relative paths outside of .git, for example a/src/main.c.',
      details,
    });
  }
}
