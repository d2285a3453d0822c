/**
 * From a requested host and port to an open connection, or to the reason why there is none:
 * policy by name, resolution, policy by address, connection to one of the checked addresses.
 */
import type { Duplex } from 'node:stream';
import type { AddressClass } from './address-class.js';
import { type ConnectAddress, connectFirst } from './connect-first.js';
import type { DenialReason, FailureReason } from './egress-event.js';
import type { EgressLimits } from './egress-limits.js';
import { type CompiledPolicy, judgeAddress, judgeHost } from './egress-policy.js';
import type { Host } from './host.js';
import { type IpAddress, type IpBlock, parseIpAddress } from './ip-address.js';
import type { OpenRoute } from './open-routes.js';
import type { ResolveHost } from './resolve-host.js';

export interface RouteContext {
  readonly policy: CompiledPolicy;
  readonly limits: EgressLimits;
  readonly resolve: ResolveHost;
  readonly connect: ConnectAddress;
  readonly localNetworks: () => readonly IpBlock[];
}

export type Route =
  | { readonly kind: 'open'; readonly stream: Duplex; readonly address: string; readonly rule: string }
  | {
      readonly kind: 'denied';
      readonly reason: DenialReason;
      readonly address?: string;
      readonly rule?: string;
    }
  | {
      readonly kind: 'failed';
      readonly reason: FailureReason;
      readonly address?: string;
      readonly rule?: string;
    };

/** More addresses than this are not tried. */
const MAX_ADDRESSES = 8;

/**
 * @param signal Cancels; the route is then `failed` with `abandoned`.
 * @returns An open stream belongs to the caller.
 */
export async function openRoute(
  context: RouteContext,
  host: Host,
  port: number,
  { signal }: { readonly signal: AbortSignal },
): Promise<Route> {
  const verdict = judgeHost(context.policy, host, port);
  if (!verdict.allowed) return { kind: 'denied', reason: verdict.reason };
  const { rule } = verdict;

  let addresses = verdict.addresses;
  if (addresses.length === 0) {
    const resolved = await resolveAddresses(context, host, signal);
    if (typeof resolved === 'string') return { kind: 'failed', reason: resolved, rule };
    const checked = checkAddresses(context, resolved);
    if (checked.refused !== undefined) {
      const { address, addressClass } = checked.refused;
      return { kind: 'denied', reason: `address-${addressClass}`, address: address.text, rule };
    }
    addresses = checked.allowed;
  }

  const limited = withTimeout(signal, context.limits.connectTimeoutMs);
  try {
    const options = { signal: limited.signal };
    const { stream, address } = await connectFirst(addresses, port, context.connect, options);
    return { kind: 'open', stream, address: address.text, rule };
  } catch {
    const reason = limited.why() ?? 'connect-failed';
    const [address] = addresses;
    return { kind: 'failed', reason, rule, ...(address === undefined ? {} : { address: address.text }) };
  } finally {
    limited.clear();
  }
}

/** Whether policy, as it is now, would open the route that was opened before. */
export function isStillAllowed(context: RouteContext, { host, port, address: text }: OpenRoute): boolean {
  const verdict = judgeHost(context.policy, host, port);
  if (!verdict.allowed) return false;
  if (verdict.addresses.length > 0) return verdict.addresses.some((address) => address.text === text);
  const address = parseIpAddress(text);
  return address !== undefined && judgeAddress(context.policy, address, context.localNetworks()).allowed;
}

async function resolveAddresses(
  context: RouteContext,
  host: Host,
  signal: AbortSignal,
): Promise<readonly IpAddress[] | FailureReason> {
  if (host.kind === 'address') return [host.address];
  const limited = withTimeout(signal, context.limits.resolveTimeoutMs, 'resolve-timeout');
  try {
    const texts = isLocalhost(host.text)
      ? ['127.0.0.1', '::1']
      : await limited.race(context.resolve(host.text, { signal: limited.signal }));
    const addresses = texts.flatMap((text) => parseIpAddress(text) ?? []);
    return addresses.length === 0 ? 'name-not-found' : addresses.slice(0, MAX_ADDRESSES);
  } catch {
    return limited.why() ?? 'resolve-failed';
  } finally {
    limited.clear();
  }
}

/** Names below `localhost` are loopback by definition and never asked for (RFC 6761 section 6.3). */
function isLocalhost(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** Keeps the addresses that may be connected to; `refused` is set only when none may. */
function checkAddresses(
  context: RouteContext,
  addresses: readonly IpAddress[],
): {
  readonly allowed: readonly IpAddress[];
  readonly refused?: { readonly address: IpAddress; readonly addressClass: Exclude<AddressClass, 'public'> };
} {
  const localNetworks = context.localNetworks();
  const allowed: IpAddress[] = [];
  let refused: { address: IpAddress; addressClass: Exclude<AddressClass, 'public'> } | undefined;
  for (const address of addresses) {
    const { allowed: mayConnect, addressClass } = judgeAddress(context.policy, address, localNetworks);
    if (mayConnect) allowed.push(address);
    else if (addressClass !== 'public') refused ??= { address, addressClass };
  }
  return allowed.length === 0 && refused !== undefined ? { allowed, refused } : { allowed };
}

function withTimeout(
  signal: AbortSignal,
  timeoutMs: number,
  timeoutReason: FailureReason = 'connect-timeout',
) {
  const controller = new AbortController();
  let reason: FailureReason | undefined;
  const stop = (why: FailureReason) => {
    reason ??= why;
    controller.abort();
  };
  const abandon = () => stop('abandoned');
  const timer = setTimeout(stop, timeoutMs, timeoutReason);
  if (signal.aborted) abandon();
  else signal.addEventListener('abort', abandon, { once: true });
  return {
    signal: controller.signal,
    why: () => reason,
    /** Settles with the promise, or rejects at the latest when the signal does. */
    race<T>(promise: Promise<T>): Promise<T> {
      return new Promise((resolve, reject) => {
        if (controller.signal.aborted) reject(controller.signal.reason);
        controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
        promise.then(resolve, reject);
      });
    },
    clear() {
      clearTimeout(timer);
      signal.removeEventListener('abort', abandon);
    },
  };
}
