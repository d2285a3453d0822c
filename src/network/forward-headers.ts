/**
 * Headers on their way through a proxy.
 *
 * Source: RFC 9110 section 7.6.1 (Connection and the fields it names end here), RFC 9112 section 6
 * (message length), section 3.2.2 (Host is rewritten from the request target).
 */

/** A header list as Node gives it: name, value, name, value. */
export type RawHeaders = readonly string[];

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Fields whose removal through `Connection` would change what the message means. */
const NEVER_NAMED: ReadonlySet<string> = new Set(['host', 'content-length', 'content-type', 'via', 'expect']);

/** All values of a field, in order. */
export function headerValues(headers: RawHeaders, name: string): string[] {
  return pairs(headers).flatMap(([field, value]) => (field.toLowerCase() === name ? [value] : []));
}

/** The headers without those that concern one connection only; names, order and repetition are kept. */
export function endToEndHeaders(headers: RawHeaders): string[] {
  const named = new Set(
    headerValues(headers, 'connection').flatMap((value) =>
      value.split(',').map((option) => option.trim().toLowerCase()),
    ),
  );
  return pairs(headers)
    .filter(([field]) => {
      const name = field.toLowerCase();
      return !HOP_BY_HOP.has(name) && (!named.has(name) || NEVER_NAMED.has(name));
    })
    .flat();
}

/** How the body of a message with these headers is delimited. */
export function bodyFraming(headers: RawHeaders): 'none' | 'length' | 'chunked' | 'unsupported' {
  const codings = headerValues(headers, 'transfer-encoding');
  if (codings.length === 0) return headerValues(headers, 'content-length').length === 0 ? 'none' : 'length';
  return codings.length === 1 && codings[0]?.trim().toLowerCase() === 'chunked' ? 'chunked' : 'unsupported';
}

function pairs(headers: RawHeaders): Array<[name: string, value: string]> {
  return Array.from({ length: headers.length >> 1 }, (_, index) => [
    headers[2 * index] ?? '',
    headers[2 * index + 1] ?? '',
  ]);
}
