/** What a sandbox may reach, as it is written down. */
import { z } from 'zod';
import type { EgressPolicy } from '../../network/index.js';

/**
 * none: no network device; only what `hosts` names, through the egress proxy · public: also every public host,
 * through the proxy · full: a network device, unfiltered.
 */
export const NETWORK_MODES = ['none', 'public', 'full'] as const;
export type NetworkMode = (typeof NETWORK_MODES)[number];

export const networkRecordSchema = z.object({
  mode: z.enum(NETWORK_MODES),
  /** Patterns as `parseHostPattern` reads them. */
  hosts: z.array(z.string()),
  /** The proxy's port on the guest's loopback, from its first start on. */
  proxyPort: z.number().int().min(1).max(65_535).nullable(),
});

export type NetworkRecord = z.infer<typeof networkRecordSchema>;

export const NO_NETWORK: NetworkRecord = { mode: 'none', hosts: [], proxyPort: null };
/** Squid's port, which nothing in a guest is likely to want. */
export const PREFERRED_PROXY_PORT = 3128;

/** What the egress proxy is to let through; undefined when there is none. */
export function egressPolicyOf({ mode, hosts }: NetworkRecord): EgressPolicy | undefined {
  if (mode === 'full' || (mode === 'none' && hosts.length === 0)) return undefined;
  return { mode: mode === 'public' ? 'public' : 'allow-list', hosts };
}
