/**
 * Egress policy: which hosts, ports and addresses a sandbox may connect to. Pure decisions; nothing
 * here resolves or connects.
 */
import { HearthError } from '../errors/index.js';
import { type AddressClass, classifyAddress, isNameable } from './address-class.js';
import type { Host } from './host.js';
import {
  DEFAULT_PORTS,
  HOST_ALIAS,
  type HostPattern,
  matchesHost,
  parseHostPattern,
} from './host-pattern.js';
import type { IpAddress, IpBlock } from './ip-address.js';

export interface EgressPolicy {
  /**
   * `allow-list`: only what `hosts` names. `public`: also every host with a public address, on ports
   * 80 and 443.
   */
  readonly mode: 'allow-list' | 'public';
  /** Patterns as {@link parseHostPattern} reads them, at most 1,000. Default: none. */
  readonly hosts?: readonly string[];
  /**
   * Let names that DNS resolves to loopback, private or neighbouring addresses through. Whoever answers
   * for an allowed name can then reach the host's own network. Default: false.
   */
  readonly allowPrivate?: boolean;
}

export interface CompiledPolicy {
  readonly mode: EgressPolicy['mode'];
  readonly patterns: readonly HostPattern[];
  readonly allowPrivate: boolean;
}

export type HostVerdict =
  | {
      readonly allowed: true;
      /** The pattern that allowed it; `public` when none did. */
      readonly rule: string;
      /** The only addresses to connect to; empty when DNS decides. */
      readonly addresses: readonly IpAddress[];
    }
  | { readonly allowed: false; readonly reason: 'host-not-allowed' | 'port-not-allowed' };

const MAX_PATTERNS = 1000;

/** @throws {HearthError} `HOST_PATTERN_INVALID`. */
export function compileEgressPolicy(policy: EgressPolicy): CompiledPolicy {
  const hosts = policy.hosts ?? [];
  if (hosts.length > MAX_PATTERNS) {
    throw new HearthError('HOST_PATTERN_INVALID', `${hosts.length} host patterns, at most ${MAX_PATTERNS}`, {
      hint: 'Use wildcards like *.example.org.',
      details: { patternCount: hosts.length, maxPatternCount: MAX_PATTERNS },
    });
  }
  return {
    mode: policy.mode,
    patterns: hosts.map(parseHostPattern),
    allowPrivate: policy.allowPrivate ?? false,
  };
}

/** Decides by name and port alone: a refused host is never looked up, so that DNS carries nothing out. */
export function judgeHost(policy: CompiledPolicy, host: Host, port: number): HostVerdict {
  const matching = policy.patterns.filter((pattern) => matchesHost(pattern, host));
  const covering = matching.filter((pattern) => pattern.ports.includes(port));
  const [first] = covering;
  if (first !== undefined) {
    const pinned = covering.flatMap((pattern) => pattern.addresses);
    return { allowed: true, rule: first.text, addresses: pinned };
  }
  const isPublicHost = policy.mode === 'public' && host.text !== HOST_ALIAS;
  if (isPublicHost && DEFAULT_PORTS.includes(port)) {
    return { allowed: true, rule: 'public', addresses: [] };
  }
  return {
    allowed: false,
    reason: isPublicHost || matching.length > 0 ? 'port-not-allowed' : 'host-not-allowed',
  };
}

/** Decides on one address that DNS, or the guest itself, has given. */
export function judgeAddress(
  policy: CompiledPolicy,
  address: IpAddress,
  localNetworks: readonly IpBlock[],
): { readonly allowed: boolean; readonly addressClass: AddressClass } {
  const addressClass = classifyAddress(address, localNetworks);
  const allowed = addressClass === 'public' || (policy.allowPrivate && isNameable(addressClass));
  return { allowed, addressClass };
}
