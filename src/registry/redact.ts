/** URLs fit for messages and logs: no user-info, no values of query keys that are not known to be harmless. */

const HARMLESS_KEYS = new Set(['service', 'scope', 'ns', 'digest', 'n', 'last']);
const MAX_CHARS = 300;

/** The URL as it may be shown. */
export function redactUrl(url: URL): string {
  const shown = new URL(url.href);
  shown.username = '';
  shown.password = '';
  shown.hash = '';
  for (const key of new Set(shown.searchParams.keys())) {
    if (!HARMLESS_KEYS.has(key)) shown.searchParams.set(key, 'REDACTED');
  }
  return printable(shown.href, MAX_CHARS);
}

/** Text of a stranger without control characters and cut to `maxChars`. */
export function printable(text: string, maxChars: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is to be removed
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ').trim();
  return clean.length > maxChars ? `${clean.slice(0, maxChars)}…` : clean;
}
