/**
 * What a request to a proxy is for.
 *
 * Source: RFC 9112 section 3.2: absolute-form for requests to be forwarded, authority-form for CONNECT.
 */
import type { IncomingMessage } from 'node:http';
import type { DenialReason } from './egress-event.js';
import { bodyFraming, headerValues } from './forward-headers.js';
import { formatAuthority, type Host, parseAuthority } from './host.js';

const HTTP_PORT = 80;

export interface RequestTarget {
  readonly host: Host;
  readonly port: number;
  /** What to ask the host for: origin-form, or `*`. */
  readonly path: string;
  /** Value of the Host field for the host. */
  readonly hostField: string;
}

/**
 * Reads and checks a request to be forwarded. What two readers could take for different messages is
 * refused rather than repaired.
 */
export function readForwardTarget(
  request: IncomingMessage,
  maxHeaderCount: number,
): RequestTarget | DenialReason {
  const problem = checkMessage(request, maxHeaderCount);
  if (problem !== undefined) return problem;
  if (request.method === 'TRACE') return 'request-unsupported';
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)$/i.exec(request.url ?? '');
  if (match === null) return 'request-malformed';
  if (match[1]?.toLowerCase() !== 'http') return 'request-unsupported';
  const authority = parseAuthority(match[2] ?? '');
  if (authority === undefined) return 'request-malformed';
  const { host, port = HTTP_PORT } = authority;
  const rest = match[3] ?? '';
  const hostField = formatAuthority(host.text, port).replace(/:80$/, '');
  if (rest === '') return { host, port, hostField, path: request.method === 'OPTIONS' ? '*' : '/' };
  return { host, port, hostField, path: rest.startsWith('/') ? rest : `/${rest}` };
}

/** Reads and checks a CONNECT request; it has no body, so a length is ambiguous and refused. */
export function readConnectTarget(
  request: IncomingMessage,
  maxHeaderCount: number,
): { readonly host: Host; readonly port: number } | DenialReason {
  const problem = checkMessage(request, maxHeaderCount);
  if (problem !== undefined) return problem;
  const lengths = headerValues(request.rawHeaders, 'content-length');
  if (bodyFraming(request.rawHeaders) !== 'none' && !(lengths.length === 1 && lengths[0] === '0')) {
    return 'request-malformed';
  }
  const authority = parseAuthority(request.url ?? '');
  if (authority?.port === undefined) return 'request-malformed';
  return { host: authority.host, port: authority.port };
}

function checkMessage(request: IncomingMessage, maxHeaderCount: number): DenialReason | undefined {
  const { httpVersion, rawHeaders } = request;
  if (rawHeaders.length / 2 > maxHeaderCount) return 'headers-too-large';
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'request-unsupported';
  const hostCount = headerValues(rawHeaders, 'host').length;
  if (hostCount > 1 || (hostCount === 0 && httpVersion === '1.1')) return 'request-malformed';
  const framing = bodyFraming(rawHeaders);
  if (framing === 'unsupported') return 'request-unsupported';
  if (framing === 'chunked' && httpVersion === '1.0') return 'request-malformed';
  return undefined;
}
