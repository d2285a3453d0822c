/**
 * Host patterns: how a user says where a sandbox may connect to.
 *
 *     HOST[:PORT][=ADDRESS]
 *
 * HOST is a name, `*.` and a name (every name below it, not the name itself), or an IP address
 * (IPv6 in brackets when a port follows). Without PORT the pattern covers 80 and 443, with it only
 * that port. `=ADDRESS` connects to that address instead of asking DNS, which is also how a private
 * address gets a name. `host.hearth.internal:PORT` is this machine's own loopback.
 */
import { domainToASCII } from 'node:url';
import { HearthError } from '../errors/index.js';
import { classifyAddress, isNameable } from './address-class.js';
import { type Host, parseHost, parsePort } from './host.js';
import { type IpAddress, parseIpAddress } from './ip-address.js';

/** The name under which a guest finds services that listen on the host's loopback. */
export const HOST_ALIAS = 'host.hearth.internal';

/** Ports of a pattern that names none, and of public hosts that no pattern covers. */
export const DEFAULT_PORTS: readonly number[] = [80, 443];

const ALIAS_ADDRESSES = ['127.0.0.1', '::1'].flatMap((text) => parseIpAddress(text) ?? []);
const MAX_PATTERN_LENGTH = 512;

export interface HostPattern {
  /** The pattern as the user wrote it. */
  readonly text: string;
  /** Lower-case name, or canonical address. With `wildcard`, the name below which everything matches. */
  readonly host: string;
  readonly wildcard: boolean;
  readonly ports: readonly number[];
  /** Where to connect instead of asking DNS; empty for names that are resolved. */
  readonly addresses: readonly IpAddress[];
}

/**
 * @throws {HearthError} `HOST_PATTERN_INVALID`, also for addresses that never open: link-local,
 *   metadata, multicast, unspecified and reserved ones.
 */
export function parseHostPattern(text: string): HostPattern {
  if (text.length > MAX_PATTERN_LENGTH) throw invalid(text.slice(0, 64), `longer than ${MAX_PATTERN_LENGTH}`);
  if (text === '*') throw invalid(text, 'matches every host', 'Use --net public to allow every public host.');
  if (text.includes('://') || text.includes('/')) {
    throw invalid(text, 'a URL or a network', 'Give the host alone, like --allow-host example.org.');
  }
  const equals = text.indexOf('=');
  const pin = equals === -1 ? undefined : text.slice(equals + 1);
  const { hostText, port } = splitPort(text, equals === -1 ? text : text.slice(0, equals));

  const wildcard = hostText.startsWith('*.');
  const host = parsePatternHost(wildcard ? hostText.slice(2) : hostText);
  if (host === undefined || (wildcard && host.kind === 'address')) {
    throw invalid(text, 'not a host name or IP address');
  }
  if (host.text === HOST_ALIAS && port === undefined) {
    throw invalid(text, 'needs a port', `Name the port of your service, like ${HOST_ALIAS}:8080.`);
  }
  if (pin !== undefined && (wildcard || host.kind === 'address' || host.text === HOST_ALIAS)) {
    throw invalid(text, 'only a full name can be given an address');
  }
  return {
    text,
    host: host.text,
    wildcard,
    ports: port === undefined ? DEFAULT_PORTS : [port],
    addresses: addressesOf(text, host, wildcard, pin),
  };
}

export function matchesHost(pattern: HostPattern, host: Host): boolean {
  if (pattern.host === host.text) return !pattern.wildcard;
  return (
    pattern.wildcard &&
    host.kind === 'name' &&
    host.text !== HOST_ALIAS &&
    host.text.endsWith(`.${pattern.host}`)
  );
}

function splitPort(text: string, target: string): { hostText: string; port: number | undefined } {
  if (parseIpAddress(target) !== undefined) return { hostText: target, port: undefined };
  const match = /^(.*):([^:\]]*)$/.exec(target);
  if (match === null) return { hostText: target, port: undefined };
  const port = parsePort(match[2] ?? '');
  if (port === undefined) throw invalid(text, 'the port is not a number from 1 to 65535');
  return { hostText: match[1] ?? '', port };
}

function parsePatternHost(text: string): Host | undefined {
  return parseHost(text) ?? parseHost(/[^\p{ASCII}]/u.test(text) ? domainToASCII(text) : '');
}

function addressesOf(text: string, host: Host, wildcard: boolean, pin: string | undefined): IpAddress[] {
  if (host.text === HOST_ALIAS && !wildcard) return [...ALIAS_ADDRESSES];
  const address = host.kind === 'address' ? host.address : pin === undefined ? undefined : pinned(text, pin);
  if (address === undefined) return [];
  const addressClass = classifyAddress(address);
  if (!isNameable(addressClass)) {
    throw invalid(text, `${address.text} is ${addressClass}, which never opens`);
  }
  return [address];
}

function pinned(text: string, pin: string): IpAddress {
  const host = parseHost(pin);
  if (host?.kind !== 'address') throw invalid(text, 'what follows = is not an IP address');
  return host.address;
}

function invalid(text: string, problem: string, hint?: string): HearthError {
  return new HearthError(
    'HOST_PATTERN_INVALID',
    `not a host pattern: ${JSON.stringify(text)}: ${problem}; expected HOST[:PORT][=ADDRESS]`,
    {
      hint: hint ?? 'Write a host like example.org, *.example.org, example.org:8443 or db.corp=10.0.0.5.',
      details: { pattern: text, problem },
    },
  );
}
