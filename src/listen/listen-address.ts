/** Where the daemon listens besides its unix socket. */
import { isIP, isIPv6 } from 'node:net';
import { HearthError } from '../errors/index.js';

export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

const MAX_PORT = 65_535;
const DEFAULT_HOST = '127.0.0.1';

/**
 * Reads `[ADDRESS:]PORT`; an IPv6 address in brackets. Without an address, or for `localhost`, it is 127.0.0.1.
 *
 * @param options allowRemote: also an address that other machines reach.
 * @throws {HearthError} `USAGE_INVALID`.
 */
export function parseListenAddress(
  text: string,
  { allowRemote }: { readonly allowRemote: boolean },
): ListenAddress {
  const [, given, digits = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const bare = given?.replace(/^\[(.+)\]$/, '$1') ?? DEFAULT_HOST;
  const host = bare === 'localhost' ? DEFAULT_HOST : bare;
  const port = Number(digits);
  const isBracketed = given?.startsWith('[') === true;
  if (
    digits === '' ||
    port > MAX_PORT ||
    isIP(host) === 0 ||
    (given !== undefined && isIPv6(host) !== isBracketed)
  ) {
    throw new HearthError('USAGE_INVALID', `no address to listen on: ${JSON.stringify(text.slice(0, 64))}`, {
      hint: 'Give an IP address and a port, for example --listen 127.0.0.1:7420.',
      details: { listen: text.slice(0, 64) },
    });
  }
  if (!allowRemote && !isLoopback(host)) {
    throw new HearthError('USAGE_INVALID', `${host} is an address that other machines reach`, {
      hint: 'Listen on 127.0.0.1 and forward the port by ssh, or add --allow-remote; there is no TLS.',
      details: { host },
    });
  }
  return { host, port };
}

/** `http://HOST:PORT`. */
export function listenUrl({ host, port }: ListenAddress): string {
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function isLoopback(host: string): boolean {
  return host === '::1' || /^127(?:\.\d+){3}$/.test(host);
}
