/** What the guest is told when the proxy does not do what it asked: a status, and how to allow it. */
import type { AddressClass } from './address-class.js';
import { isNameable } from './address-class.js';
import type { DenialReason, FailureReason } from './egress-event.js';
import { formatAuthority } from './host.js';
import { DEFAULT_PORTS, HOST_ALIAS } from './host-pattern.js';

export interface Refusal {
  readonly status: number;
  /** Printable ASCII; several clients show it and nothing else. */
  readonly phrase: string;
  /** Plain text, one or two lines. */
  readonly body: string;
}

const STATUS: Partial<Record<DenialReason | FailureReason, readonly [number, string]>> = {
  'request-malformed': [400, 'Bad Request'],
  'request-unsupported': [501, 'Not Implemented'],
  'headers-too-large': [431, 'Request Header Fields Too Large'],
  'connections-too-many': [503, 'Too Many Connections'],
  'pipeline-too-long': [503, 'Too Many Pipelined Requests'],
  'resolve-timeout': [504, 'Gateway Timeout'],
  'connect-timeout': [504, 'Gateway Timeout'],
  'response-timeout': [504, 'Gateway Timeout'],
};

const SENTENCE: Partial<Record<DenialReason | FailureReason, string>> = {
  'request-malformed': 'the request is not valid HTTP for a proxy',
  'request-unsupported': 'the proxy serves CONNECT and http:// requests only',
  'headers-too-large': 'the headers of the request are too large',
  'connections-too-many': 'too many connections at once from this sandbox',
  'pipeline-too-long': 'too many pipelined requests on one connection',
  'name-not-found': 'the name does not exist or has no address',
  'resolve-failed': 'the name could not be resolved on the host',
  'resolve-timeout': 'the name was not resolved in time',
  'connect-failed': 'the host refused the connection or cannot be reached',
  'connect-timeout': 'the host did not accept a connection in time',
  'response-invalid': 'the host did not answer with valid HTTP',
  'response-timeout': 'the host did not answer in time',
};

/**
 * @param host The host in its one spelling, safe to print; empty when unknown.
 * @returns A 403 that names the flag for what policy refuses; never an address that DNS gave, which
 *   the guest is not meant to learn.
 */
export function describeRefusal(reason: DenialReason | FailureReason, host: string, port: number): Refusal {
  const target = host === '' ? 'a request' : `a connection to ${formatAuthority(host, port)}`;
  const flag = flagFor(reason, host, port);
  if (flag !== undefined) {
    return {
      status: 403,
      phrase: `Forbidden by hearth: ${flag.phrase}`,
      body: `hearth refused ${target}: ${flag.why}.\n${flag.advice}\n`,
    };
  }
  const [status, phrase] = STATUS[reason] ?? [502, 'Bad Gateway'];
  return { status, phrase, body: `hearth could not serve ${target}: ${SENTENCE[reason] ?? reason}.\n` };
}

function flagFor(reason: DenialReason | FailureReason, host: string, port: number) {
  const pattern = DEFAULT_PORTS.includes(port) ? bracket(host) : formatAuthority(host, port);
  if (reason === 'host-not-allowed' || reason === 'port-not-allowed') {
    const allow = `--allow-host ${host === HOST_ALIAS ? formatAuthority(host, port) : pattern}`;
    const what = reason === 'host-not-allowed' ? 'host' : 'port';
    return {
      phrase: `allow with ${allow}`,
      why: `this ${what} is not allowed for this sandbox`,
      advice: `To allow it, start the sandbox with: ${allow}`,
    };
  }
  if (!reason.startsWith('address-')) return undefined;
  const addressClass = reason.slice('address-'.length) as AddressClass;
  const why = `its address is not on the public internet (${addressClass})`;
  if (!isNameable(addressClass)) {
    return { phrase: `${addressClass} address`, why, advice: 'Such addresses are never allowed.' };
  }
  const allow =
    addressClass === 'loopback'
      ? `--allow-host ${HOST_ALIAS}:${port}`
      : `--allow-host ${/^[\d.]+$|:/.test(host) ? pattern : `${pattern}=ADDRESS`}`;
  return {
    phrase: `allow with ${allow}`,
    why,
    advice:
      addressClass === 'loopback'
        ? `For a service on this sandbox's host, start the sandbox with ${allow} and connect to ${HOST_ALIAS}:${port}.`
        : `To allow it, name its address when starting the sandbox: ${allow}`,
  };
}

function bracket(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** A refusal as the bytes of an HTTP/1.1 response after which the connection closes. */
export function encodeRefusal({ status, phrase, body }: Refusal): string {
  return [
    `HTTP/1.1 ${status} ${phrase}`,
    ...refusalHeaders(body).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

export function refusalHeaders(body: string): ReadonlyArray<readonly [name: string, value: string]> {
  return [
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['Content-Length', String(Buffer.byteLength(body))],
  ];
}
