/** What a sandbox may reach, as users ask for it: when it is made and later. */
import { HearthError } from '../../errors/index.js';
import { type EgressPolicy, parseHostPattern } from '../../network/index.js';
import type { SandboxRecord } from '../sandbox-record.js';
import { egressPolicyOf, type NetworkMode, type NetworkRecord, NO_NETWORK } from './network-record.js';

export interface NetworkWishes {
  readonly network?: NetworkMode | undefined;
  readonly allowHosts?: readonly string[] | undefined;
}

export interface NetworkChanges extends NetworkWishes {
  /** Patterns exactly as they were given. */
  readonly removeHosts?: readonly string[] | undefined;
}

/** @throws {HearthError} `HOST_PATTERN_INVALID`. */
export function networkRecord({ network = 'none', allowHosts = [] }: NetworkWishes): NetworkRecord {
  return changedNetwork(NO_NETWORK, { network, allowHosts });
}

/** What the proxy of one command is to let through. @throws {HearthError} as {@link networkRecord}. */
export function egressPolicyFor(wishes: NetworkWishes): EgressPolicy | undefined {
  return egressPolicyOf(networkRecord(wishes));
}

/** @throws {HearthError} as {@link networkRecord}, and `USAGE_INVALID` for a host to remove that is not there. */
export function changedNetwork(
  current: NetworkRecord,
  { network = current.mode, allowHosts = [], removeHosts = [] }: NetworkChanges,
): NetworkRecord {
  for (const host of allowHosts) parseHostPattern(host);
  for (const host of removeHosts) if (!current.hosts.includes(host)) throw notAllowed(host, current.hosts);
  const kept = current.hosts.filter((host) => !removeHosts.includes(host));
  const hosts = [...new Set([...kept, ...allowHosts])];
  return { ...current, mode: network, hosts };
}

/** The network field of a record after the changes, or nothing when it stays. @throws as {@link changedNetwork}. */
export function updatedNetwork(
  { network: current }: Pick<SandboxRecord, 'network'>,
  changes: NetworkChanges,
): { readonly network?: NetworkRecord } {
  const { network, allowHosts, removeHosts } = changes;
  if (network === undefined && allowHosts === undefined && removeHosts === undefined) return {};
  return { network: changedNetwork(current, changes) };
}

function notAllowed(host: string, hosts: readonly string[]): HearthError {
  return new HearthError('USAGE_INVALID', `${JSON.stringify(host.slice(0, 256))} is not an allowed host`, {
    hint:
      hosts.length === 0
        ? 'It has no allowed hosts.'
        : `Give one as it was given before: ${hosts.slice(0, 5).join(', ')}`,
    details: { host: host.slice(0, 256), hosts },
  });
}
