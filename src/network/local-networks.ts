/** The networks this machine is attached to: what stands behind the same firewall as the machine itself. */
import { networkInterfaces } from 'node:os';
import { type IpBlock, parseIpBlock } from './ip-address.js';

/** A block wider than this is a route to the internet (tunnels, some clouds), not a neighbourhood. */
const WIDEST_PREFIX = { 4: 16, 6: 48 } as const;

/**
 * The blocks of all addresses of this machine. An address whose network is implausibly wide counts
 * alone: the machine's own services are never public, whatever its netmask says.
 */
export function readLocalNetworks(): readonly IpBlock[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.flatMap(({ cidr }) => {
      const block = cidr === null ? undefined : parseIpBlock(cidr);
      if (block === undefined) return [];
      if (block.prefixLength >= WIDEST_PREFIX[block.family]) return [block];
      return [{ ...block, prefixLength: block.family === 4 ? 32 : 128 }];
    }),
  );
}
