/**
 * The `WWW-Authenticate` header: which ways of authentication a server offers.
 * Source: RFC 9110, sections 5.6 and 11.6.1. Tolerant where servers are sloppy, bounded everywhere.
 */

export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case; the first of equal names counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_HEADER_CHARS = 16 * 1024;
const MAX_CHALLENGES = 16;
const MAX_PARAMETERS = 32;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const SPACE = /[ \t]*/y;
const SPACES = /[ \t]+/y;
const SEPARATORS = /[ \t,]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;

class Cursor {
  readonly #text: string;
  #position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#text.length;
  }

  get position(): number {
    return this.#position;
  }

  back(position: number): void {
    this.#position = position;
  }

  /** The match of a sticky pattern here, which is passed over. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#position;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#position += match[0].length;
    return match;
  }

  takeChar(char: string): boolean {
    if (this.#text[this.#position] !== char) return false;
    this.#position += 1;
    return true;
  }
}

/**
 * Parses the values of all `WWW-Authenticate` headers of a response, in order. Reading stops at the first thing
 * that is not understood; what came before it counts.
 */
export function parseChallenges(headers: readonly string[]): readonly Challenge[] {
  const challenges: Challenge[] = [];
  for (const header of headers) {
    if (header.length <= MAX_HEADER_CHARS) readHeader(new Cursor(header), challenges);
  }
  return challenges;
}

function readHeader(cursor: Cursor, challenges: Challenge[]): void {
  cursor.take(SEPARATORS);
  while (!cursor.isAtEnd && challenges.length < MAX_CHALLENGES) {
    const scheme = cursor.take(TOKEN)?.[0];
    if (scheme === undefined) return;
    const parameters = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    // `Negotiate dG9rZW4=` has one value without a name.
    if (cursor.take(SPACES) !== undefined) cursor.take(TOKEN68);
    if (!readParameters(cursor, parameters)) return;
  }
}

/** Reads `name=value, …` up to the next scheme. Returns false when something else is there. */
function readParameters(cursor: Cursor, parameters: Map<string, string>): boolean {
  for (;;) {
    cursor.take(SEPARATORS);
    if (cursor.isAtEnd) return true;
    const start = cursor.position;
    const name = cursor.take(TOKEN)?.[0];
    if (name === undefined) return false;
    cursor.take(SPACE);
    if (!cursor.takeChar('=')) {
      // A word without a value is the next scheme.
      cursor.back(start);
      return true;
    }
    cursor.take(SPACE);
    const value = readValue(cursor);
    if (value === undefined || parameters.size >= MAX_PARAMETERS) return false;
    const key = name.toLowerCase();
    if (!parameters.has(key)) parameters.set(key, value);
  }
}

function readValue(cursor: Cursor): string | undefined {
  const quoted = cursor.take(QUOTED);
  if (quoted !== undefined) return (quoted[1] ?? '').replace(/\\(.)/g, '$1');
  return cursor.take(/[^ \t,"]+/y)?.[0];
}
