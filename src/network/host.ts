/**
 * The host part of a request: a DNS name or an IP address, each in exactly one spelling.
 *
 * Source: RFC 3986 section 3.2, RFC 9110 section 4.2, RFC 1123 section 2.1; the rule that a name
 * ending in a number must be an IPv4 address is that of the WHATWG URL standard, section 3.5.
 */
import { type IpAddress, parseIpAddress } from './ip-address.js';

export type Host =
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'address'; readonly text: string; readonly address: IpAddress };

export interface Authority {
  readonly host: Host;
  /** 1..65535; undefined when the text gives none. */
  readonly port: number | undefined;
}

const MAX_NAME_LENGTH = 253;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NUMBER_LABEL = /^(?:\d+|0x[0-9a-f]*)$/;

/**
 * Reads a host without a port: a name of ASCII letters, digits, `-` and `_`, a dotted quad, or an IPv6
 * address with or without brackets. Names come out in lower case without the final dot.
 *
 * @returns undefined for anything else; `0x7f.1`, `2130706433` and `0177.0.0.1` are not hosts here.
 */
export function parseHost(text: string): Host | undefined {
  const bracketed = text.startsWith('[') && text.endsWith(']');
  const address = parseIpAddress(bracketed ? text.slice(1, -1) : text);
  if (address !== undefined && (address.family === 6 || !bracketed)) {
    return { kind: 'address', text: address.text, address };
  }
  if (bracketed) return undefined;

  const name = text.toLowerCase().replace(/\.$/, '');
  if (name.length > MAX_NAME_LENGTH) return undefined;
  const labels = name.split('.');
  if (!labels.every((label) => LABEL.test(label))) return undefined;
  if (NUMBER_LABEL.test(labels.at(-1) ?? '')) return undefined;
  return { kind: 'name', text: name };
}

/** Reads `HOST[:PORT]`, an IPv6 host in brackets; undefined when malformed. */
export function parseAuthority(text: string): Authority | undefined {
  const match = /^(\[[^\][]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(text);
  const host = parseHost(match?.[1] ?? '');
  if (match === null || host === undefined) return undefined;
  if (match[2] === undefined) return { host, port: undefined };
  const port = parsePort(match[2]);
  return port === undefined ? undefined : { host, port };
}

/** Reads a TCP port, 1..65535, written in decimal without leading zeros. */
export function parsePort(text: string): number | undefined {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** The inverse of {@link parseAuthority}: IPv6 in brackets, the port always. */
export function formatAuthority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
