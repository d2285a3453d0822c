/**
 * What a person would see of a terminal's output, as lines of text: colours and cursor movements are left out,
 * carriage returns and backspaces overwrite. Output is a guest's and may be anything.
 */

export interface PlainText {
  readonly text: string;
  /** So many bytes at the end are the beginning of something whose rest has not come yet. */
  readonly pendingBytes: number;
}

const ESC = 0x1b;
/** A sequence that goes on for longer than this is none. */
const MAX_SEQUENCE_BYTES = 4096;
const TAB_COLUMNS = 8;
const MAX_LINE_CHARS = 65_536;

/** @param isLast Nothing follows: what is incomplete at the end is left out, too. */
export function plainText(bytes: Uint8Array, isLast: boolean): PlainText {
  const visible: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] !== ESC) {
      visible.push(bytes[at] ?? 0);
      at += 1;
      continue;
    }
    const length = sequenceLength(bytes, at);
    if (length === undefined) {
      if (isLast) break;
      return finish(visible, bytes.length - at, false);
    }
    at += length;
  }
  return finish(visible, 0, isLast);
}

function finish(visible: readonly number[], pendingBytes: number, isLast: boolean): PlainText {
  const all = Buffer.from(visible);
  const cut = isLast || pendingBytes > 0 ? 0 : incompleteCharacter(all);
  // A carriage return at the end may belong to a line feed, or be followed by what overwrites the line.
  const text = all.subarray(0, all.length - cut).toString('utf8');
  return { text: overwritten(text), pendingBytes: pendingBytes + cut };
}

/** Bytes of the escape sequence at `at`, 1 for a lone escape; undefined when its end has not come. */
function sequenceLength(bytes: Uint8Array, at: number): number | undefined {
  const kind = bytes[at + 1];
  if (kind === undefined) return undefined;
  const limit = Math.min(bytes.length, at + MAX_SEQUENCE_BYTES);
  // ECMA-48: a control sequence ends with 0x40..0x7e.
  if (kind === 0x5b) {
    for (let end = at + 2; end < limit; end += 1) {
      const byte = bytes[end] ?? 0;
      if (byte >= 0x40 && byte <= 0x7e) return end + 1 - at;
      if (byte < 0x20 || byte > 0x7e) return end - at;
    }
    return limit === bytes.length && limit - at < MAX_SEQUENCE_BYTES ? undefined : 2;
  }
  // A string (title, device control, ...) ends with BEL or ESC \.
  if (kind === 0x5d || kind === 0x50 || kind === 0x5e || kind === 0x5f || kind === 0x58) {
    for (let end = at + 2; end < limit; end += 1) {
      if (bytes[end] === 0x07) return end + 1 - at;
      if (bytes[end] === ESC) return bytes[end + 1] === 0x5c ? end + 2 - at : end - at;
    }
    return limit === bytes.length && limit - at < MAX_SEQUENCE_BYTES ? undefined : 2;
  }
  // Intermediate bytes, then a final one.
  let end = at + 1;
  while (end < limit && (bytes[end] ?? 0) >= 0x20 && (bytes[end] ?? 0) <= 0x2f) end += 1;
  if (end >= bytes.length) return undefined;
  const last = bytes[end] ?? 0;
  return last >= 0x30 && last <= 0x7e ? end + 1 - at : 1;
}

/** Bytes at the end that begin a UTF-8 character without ending it. */
export function incompleteCharacter(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

function overwritten(text: string): string {
  const lines: string[] = [];
  let line: string[] = [];
  let column = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (character === '\n') {
      lines.push(line.join('').trimEnd());
      line = [];
      column = 0;
    } else if (character === '\r') column = 0;
    else if (character === '\b') column = Math.max(0, column - 1);
    else if (character === '\t')
      column = Math.min(MAX_LINE_CHARS, (Math.floor(column / TAB_COLUMNS) + 1) * TAB_COLUMNS);
    else if (code >= 0x20 && code !== 0x7f && !(code >= 0x80 && code < 0xa0)) {
      while (line.length < column) line.push(' ');
      line[column] = character;
      column = Math.min(MAX_LINE_CHARS, column + 1);
    }
  }
  return [...lines, line.join('')].join('\n');
}
