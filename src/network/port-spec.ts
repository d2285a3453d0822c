/**
 * How a user publishes a guest's port:
 *
 *     [ADDRESS:][HOST_PORT:]GUEST_PORT[/tcp]
 *
 * Docker's forms with one difference: without ADDRESS only the host's loopback listens. An IPv6
 * ADDRESS stands in brackets. Without HOST_PORT (`80`, `127.0.0.1::80`) the kernel picks a free one.
 */
import { HearthError } from '../errors/index.js';
import { formatAuthority, parsePort } from './host.js';
import { parseIpAddress } from './ip-address.js';

export interface PortSpec {
  /** Canonical IP address of the host to listen on. */
  readonly address: string;
  /** 1..65535, or 0 for any free port. */
  readonly hostPort: number;
  /** 1..65535. */
  readonly guestPort: number;
}

const LOOPBACK = '127.0.0.1';
const EXAMPLE = 'Write it like 8080:80, 127.0.0.1:8080:80 or 80 (any free port of the host).';

/** @throws {HearthError} `PORT_SPEC_INVALID`. */
export function parsePortSpec(text: string): PortSpec {
  const [, ports = '', protocol] = /^([^/]*)(?:\/(.*))?$/s.exec(text) ?? [];
  if (protocol !== undefined && protocol !== 'tcp') {
    throw invalid(
      text,
      `protocol ${JSON.stringify(protocol.slice(0, 16))}`,
      'Only TCP ports can be published.',
    );
  }
  const match = /^(?:(\[[^\][]*\]|[^:[\]]*):)??(?:([^:]*):)?([^:]*)$/.exec(ports);
  if (match === null) {
    throw invalid(text, 'too many parts', 'Put an IPv6 address in brackets, like [::1]:8080:80.');
  }
  const [, addressText, hostText, guestText = ''] = match;
  if ([hostText, guestText].some((part) => part !== undefined && /^\d+-\d+$/.test(part))) {
    throw invalid(text, 'a range', 'Publish each port with its own -p.');
  }
  const guestPort = parsePort(guestText);
  if (guestPort === undefined)
    throw invalid(text, `${JSON.stringify(guestText)} is not a port of the guest`, EXAMPLE);
  const hostPort = readHostPort(text, hostText, addressText !== undefined);
  return { address: readAddress(text, addressText), hostPort, guestPort };
}

/** The inverse of {@link parsePortSpec}, with every part written out. */
export function formatPortSpec({ address, hostPort, guestPort }: PortSpec): string {
  return `${formatAuthority(address, hostPort)}:${guestPort}`;
}

function readHostPort(text: string, port: string | undefined, hasAddress: boolean): number {
  if (port === undefined || port === '0' || (port === '' && hasAddress)) return 0;
  const hostPort = parsePort(port);
  if (hostPort === undefined)
    throw invalid(text, `${JSON.stringify(port)} is not a port of the host`, EXAMPLE);
  return hostPort;
}

function readAddress(text: string, address: string | undefined): string {
  if (address === undefined) return LOOPBACK;
  const isBracketed = address.startsWith('[');
  const parsed = parseIpAddress(isBracketed ? address.slice(1, -1) : address);
  if (parsed === undefined || (parsed.family === 6) !== isBracketed) {
    throw invalid(
      text,
      `${JSON.stringify(address)} is not an IP address of this host`,
      'Give an IP address: 127.0.0.1, [::1], or 0.0.0.0 for every network this machine is on.',
    );
  }
  return parsed.text;
}

function invalid(text: string, problem: string, hint: string): HearthError {
  const shown = text.slice(0, 64);
  return new HearthError(
    'PORT_SPEC_INVALID',
    `not a port to publish: ${JSON.stringify(shown)}: ${problem}; expected [ADDRESS:][HOST_PORT:]GUEST_PORT[/tcp]`,
    { hint, details: { spec: shown, problem } },
  );
}
