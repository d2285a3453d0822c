/**
 * What an address is for, so that a guest reaches the public internet and nothing nearer.
 *
 * Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190),
 * multicast (RFC 5771, RFC 4291), and the addresses under which clouds serve instance metadata.
 * IPv6 outside 2000::/3 has not been given out for general use and counts as reserved.
 */
import { type IpAddress, type IpBlock, isInBlock, parseIpBlock } from './ip-address.js';

export type AddressClass =
  | 'public'
  /** On a network that this machine is itself attached to, though its numbers are public. */
  | 'local-network'
  | 'loopback'
  | 'private'
  | 'shared'
  | 'link-local'
  | 'metadata'
  | 'unspecified'
  | 'multicast'
  | 'broadcast'
  | 'benchmarking'
  | 'documentation'
  /** IPv6 that carries an IPv4 address inside: mapped, compatible, translated, 6to4, Teredo. */
  | 'embedded-ipv4'
  | 'reserved';

/** First match decides, so that exceptions stand before the block they lie in. */
const SPECIAL_BLOCKS: ReadonlyArray<readonly [string, AddressClass]> = [
  ['169.254.169.254/32', 'metadata'],
  ['100.100.100.200/32', 'metadata'],
  ['168.63.129.16/32', 'metadata'],
  ['192.0.0.192/32', 'metadata'],
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', 'reserved'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'benchmarking'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['233.252.0.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['255.255.255.255/32', 'broadcast'],
  ['240.0.0.0/4', 'reserved'],

  ['fd00:ec2::/32', 'metadata'],
  ['fd20:ce::254/128', 'metadata'],
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['::/96', 'embedded-ipv4'],
  ['::ffff:0:0/96', 'embedded-ipv4'],
  ['::ffff:0:0:0/96', 'embedded-ipv4'],
  ['64:ff9b::/96', 'embedded-ipv4'],
  ['64:ff9b:1::/48', 'embedded-ipv4'],
  ['2002::/16', 'embedded-ipv4'],
  ['2001::/32', 'embedded-ipv4'],
  ['2001:2::/48', 'benchmarking'],
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'],
  ['2001::/23', 'reserved'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['ff00::/8', 'multicast'],
  ['2000::/3', 'public'],
  ['::/0', 'reserved'],
];

const BLOCKS = SPECIAL_BLOCKS.flatMap(([text, addressClass]) => {
  const block = parseIpBlock(text);
  return block === undefined ? [] : [{ block, addressClass }];
});

/** Classes that a user may open by naming an address; the others have no use over TCP or are never meant. */
const NAMEABLE: ReadonlySet<AddressClass> = new Set([
  'public',
  'local-network',
  'loopback',
  'private',
  'shared',
]);

/**
 * @param localNetworks Blocks that this machine is attached to; they turn `public` into `local-network`.
 */
export function classifyAddress(address: IpAddress, localNetworks: readonly IpBlock[] = []): AddressClass {
  const special = BLOCKS.find(({ block }) => isInBlock(address, block))?.addressClass ?? 'public';
  if (special === 'public' && localNetworks.some((block) => isInBlock(address, block)))
    return 'local-network';
  return special;
}

/**
 * Whether a user may open an address of this class by writing it down. Link-local and metadata
 * addresses never open: they hand out the host's own credentials.
 */
export function isNameable(addressClass: AddressClass): boolean {
  return NAMEABLE.has(addressClass);
}
