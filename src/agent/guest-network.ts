/** The address of a network interface in the guest, checked. */
import { isIP, isIPv4 } from 'node:net';
import { HearthError } from '../errors/index.js';
import type { MessageValue, SET_NETWORK } from '../protocol/index.js';

export interface GuestNetwork {
  /** `eth0` */
  readonly interface: string;
  /** `10.0.2.15/24`; absent: the interface is only brought up. */
  readonly address?: string;
  readonly gateway?: string;
  /** `52:54:00:12:34:56`; absent: as it is. */
  readonly mac?: string;
  /** At most three, written to /etc/resolv.conf; absent or empty: the file is left alone. */
  readonly nameservers?: readonly string[];
}

function invalid(what: string, value: string): HearthError {
  return new HearthError('USAGE_INVALID', `not ${what}: ${JSON.stringify(value)}`, {
    hint: 'Write addresses like 10.0.2.15/24 and 52:54:00:12:34:56.',
    details: { what, value },
  });
}

function ipv4Number(text: string): number {
  if (!isIPv4(text)) throw invalid('an IPv4 address', text);
  return Buffer.from(text.split('.').map(Number)).readUInt32BE(0);
}

function macBytes(text: string): Uint8Array {
  if (!/^[\da-f]{2}(?::[\da-f]{2}){5}$/i.test(text)) throw invalid('a MAC address', text);
  return Uint8Array.from(text.split(':'), (pair) => Number.parseInt(pair, 16));
}

/** Throws `USAGE_INVALID`. */
export function networkRequest(network: GuestNetwork): MessageValue<typeof SET_NETWORK> {
  const { address = '', gateway, mac, nameservers = [] } = network;
  const match = /^([\d.]+)\/(\d{1,2})$/.exec(address);
  if (address !== '' && (match === null || Number(match[2]) > 32)) {
    throw invalid('an IPv4 address with a prefix', address);
  }
  if (!/^[\w.-]{1,15}$/.test(network.interface)) throw invalid('an interface', network.interface);
  for (const server of nameservers) if (isIP(server) === 0) throw invalid('an IP address', server);
  return {
    interface: network.interface,
    mac: mac === undefined ? new Uint8Array(6) : macBytes(mac),
    address: match?.[1] === undefined ? 0 : ipv4Number(match[1]),
    prefixBits: Number(match?.[2] ?? 0),
    gateway: gateway === undefined ? 0 : ipv4Number(gateway),
    nameservers,
  };
}
