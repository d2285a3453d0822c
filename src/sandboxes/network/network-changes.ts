/** What a sandbox may reach, as users ask for it: when it is made and later. */
import { HearthError } from '../../errors/index.js';
import { type EgressPolicy, parseHostPattern } from '../../network/index.js';
import { hasVm, type SandboxRecord } from '../sandbox-record.js';
import { egressPolicyOf, type NetworkMode, type NetworkRecord, NO_NETWORK } from './network-record.js';

export interface NetworkWishes {
  readonly network?: NetworkMode | undefined;
  readonly allowHosts?: readonly string[] | undefined;
}

export interface NetworkChanges extends NetworkWishes {
  /** Patterns exactly as they were given. */
  readonly removeHosts?: readonly string[] | undefined;
}

/** @throws {HearthError} `HOST_PATTERN_INVALID`; `USAGE_INVALID` for hosts beside an unfiltered network. */
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
  if (network === 'full' && hosts.length > 0) {
    throw new HearthError('USAGE_INVALID', 'an unfiltered network has no list of allowed hosts', {
      hint: 'Give --allow-host alone or with --net public, or --net full without it.',
      details: { network, hosts },
    });
  }
  return { ...current, mode: network, hosts };
}

/**
 * The network field of a record after the changes, or nothing when it stays.
 *
 * @throws {HearthError} as {@link changedNetwork}; `SANDBOX_STATE_CONFLICT` when a VM would need a device more or
 *   less than it has.
 */
export function updatedNetwork(
  record: Pick<SandboxRecord, 'id' | 'name' | 'state' | 'network'>,
  changes: NetworkChanges,
): { readonly network?: NetworkRecord } {
  const { network, allowHosts, removeHosts } = changes;
  if (network === undefined && allowHosts === undefined && removeHosts === undefined) return {};
  const next = changedNetwork(record.network, changes);
  if ((next.mode === 'full') !== (record.network.mode === 'full') && hasVm(record.state)) {
    throw new HearthError(
      'SANDBOX_STATE_CONFLICT',
      `the sandbox ${record.name} is ${record.state}; its network device cannot change`,
      {
        hint: `Stop it first: hearth stop ${record.name}`,
        details: { id: record.id, name: record.name, state: record.state, network: next.mode },
      },
    );
  }
  return { network: next };
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
