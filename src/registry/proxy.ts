/** Which proxy a URL is reached through: HTTPS_PROXY, HTTP_PROXY and NO_PROXY as curl and Go read them. */
import { BlockList, isIP } from 'node:net';
import { HearthError } from '../errors/index.js';
import { isLoopbackHost } from './addresses.js';

export type ProxyEnv = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for `url`, undefined for a direct connection. This machine is never reached through a proxy.
 *
 * @throws {HearthError} `CONFIG_INVALID` when the variable does not hold an http or https URL.
 */
export function proxyFor(url: URL, env: ProxyEnv): URL | undefined {
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const value = firstSet(env[name], env[name.toUpperCase()]);
  if (value === undefined || isLoopbackHost(url.hostname)) return undefined;
  if (isExcepted(url, firstSet(env.no_proxy, env.NO_PROXY) ?? '')) return undefined;
  const text = value.includes('://') ? value : `http://${value}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy === undefined || (proxy.protocol !== 'http:' && proxy.protocol !== 'https:')) {
    // The value may hold a password, so it is not shown.
    throw new HearthError('CONFIG_INVALID', `${name.toUpperCase()} does not name an HTTP proxy`, {
      hint: `Set ${name.toUpperCase()} to a URL such as http://proxy.example.com:3128, or unset it.`,
      details: { variable: name.toUpperCase() },
    });
  }
  return proxy;
}

function firstSet(...values: ReadonlyArray<string | undefined>): string | undefined {
  return values.find((value) => value !== undefined && value.trim() !== '')?.trim();
}

function isExcepted(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return noProxy
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => entry === '*' || matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return isInSubnet(entry, host);
  const withPort = /^(\[.+\]|[^:]+):(\d+)$/.exec(entry);
  if (withPort !== null && withPort[2] !== port) return false;
  const name = (withPort?.[1] ?? entry).replace(/^\[|\]$/g, '').replace(/^\*(?=\.)/, '');
  if (name.startsWith('.')) return host.endsWith(name);
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function isInSubnet(entry: string, host: string): boolean {
  const [address = '', prefix = ''] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(prefix)) return false;
  if (Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(address, Number(prefix), type);
  return list.check(host, type);
}
