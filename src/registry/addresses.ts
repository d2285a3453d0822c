/** What kind of place a host is, by its literal name alone; nothing is looked up. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';

function blockList(ranges: ReadonlyArray<readonly [address: string, prefix: number]>): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6');
  return list;
}

const LOOPBACK = blockList([
  ['127.0.0.0', 8],
  ['::1', 128],
]);
/** Private (RFC 1918, RFC 4193), shared (RFC 6598), this host, link-local (RFC 3927, with the metadata services). */
const INTERNAL = blockList([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
]);
const LINK_LOCAL = blockList([
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['::', 128],
  ['fe80::', 10],
]);

/** The address in a URL's host name, undefined for a name. An IPv4 address mapped into IPv6 is that address. */
function literal(hostname: string): { address: string; family: 'ipv4' | 'ipv6' } | undefined {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  if (isIPv4(bare)) return { address: bare, family: 'ipv4' };
  if (!isIPv6(bare)) return undefined;
  const mapped = /^::(?:ffff:(?:0:)?)?([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(bare) ?? nat64(bare);
  if (mapped === null) return { address: bare, family: 'ipv6' };
  const high = Number.parseInt(mapped[1] ?? '0', 16);
  const low = Number.parseInt(mapped[2] ?? '0', 16);
  return { address: `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`, family: 'ipv4' };
}

function nat64(address: string): RegExpExecArray | null {
  return /^64:ff9b::([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
}

function isIn(list: BlockList, hostname: string): boolean {
  const found = literal(hostname);
  return found !== undefined && list.check(found.address, found.family);
}

function isLocalName(hostname: string): boolean {
  const name = hostname.replace(/\.$/, '').toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost');
}

/** This machine. @param hostname As in `URL.hostname`. */
export function isLoopbackHost(hostname: string): boolean {
  return isLocalName(hostname) || isIn(LOOPBACK, hostname);
}

/** A literal address that only this machine or its network reaches, or this machine's name. */
export function isInternalHost(hostname: string): boolean {
  return isLocalName(hostname) || isIn(INTERNAL, hostname);
}

/** A literal link-local address, where clouds keep their metadata. */
export function isLinkLocalHost(hostname: string): boolean {
  return isIn(LINK_LOCAL, hostname);
}
