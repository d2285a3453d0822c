/**
 * Checks that JSON from a stranger has the types it should have. Each check names the place (`layers[2].size`)
 * and throws through the {@link Fail} it is given, so that every document has its own error code.
 */

/** Turns "where and what is wrong" into the document's error. */
export type Fail = (problem: string) => Error;

export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 64;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** True when brackets nest deeper than any document of ours; strings are skipped. */
function isTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < bytes.byteLength; index += 1) {
    const byte = bytes[index];
    if (inString) {
      if (byte === BACKSLASH) index += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
  }
  return false;
}

/** Parses an object from UTF-8 JSON; the caller has bounded the size. */
export function parseJsonObject(bytes: Uint8Array, fail: Fail): JsonObject {
  if (isTooDeep(bytes)) throw fail(`nested deeper than ${MAX_DEPTH} levels`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw fail('not JSON');
  }
  return asObject(value, 'the document', fail);
}

export function asObject(value: unknown, where: string, fail: Fail): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fail(`${where} is not an object`);
  }
  return value as JsonObject;
}

/** An array of at most `max`; null and absent are empty, as Go's encoder writes nil slices. */
export function asArray(value: unknown, where: string, max: number, fail: Fail): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw fail(`${where} is not an array`);
  if (value.length > max) throw fail(`${where} has ${value.length} entries, at most ${max} are allowed`);
  return value;
}

/** A string of at most `maxChars` without NUL. */
export function asString(value: unknown, where: string, maxChars: number, fail: Fail): string {
  if (typeof value !== 'string') throw fail(`${where} is not a string`);
  if (value.length > maxChars) throw fail(`${where} is longer than ${maxChars} characters`);
  if (value.includes('\0')) throw fail(`${where} contains NUL`);
  return value;
}

/** As {@link asString}, but undefined for null and absent. */
export function asOptionalString(
  value: unknown,
  where: string,
  maxChars: number,
  fail: Fail,
): string | undefined {
  return value === undefined || value === null ? undefined : asString(value, where, maxChars, fail);
}

/** A map from strings to strings of at most `max` entries; null and absent are empty. */
export function asStringMap(
  value: unknown,
  where: string,
  max: number,
  maxChars: number,
  fail: Fail,
): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  const entries = Object.entries(asObject(value, where, fail));
  if (entries.length > max) throw fail(`${where} has ${entries.length} entries, at most ${max} are allowed`);
  return Object.fromEntries(
    entries.map(([key, text]) => [
      asString(key, `a key of ${where}`, maxChars, fail),
      asString(text, `${where}[${JSON.stringify(key.slice(0, 64))}]`, maxChars, fail),
    ]),
  );
}
