export type { ConnectAddress } from './connect-first.js';
export type { EgressEvent } from './egress-event.js';
export { DEFAULT_EGRESS_LIMITS, type EgressLimits } from './egress-limits.js';
export type { EgressPolicy } from './egress-policy.js';
export { createEgressProxy, type EgressProxy, type EgressProxyOptions } from './egress-proxy.js';
export { HOST_ALIAS, type HostPattern, parseHostPattern } from './host-pattern.js';
export { formatPortSpec, type PortSpec, parsePortSpec } from './port-spec.js';
export { proxyEnvironment } from './proxy-environment.js';
export {
  DEFAULT_PUBLISHED_PORT_LIMITS,
  type DialGuest,
  type PublishedPort,
  type PublishedPortEvent,
  type PublishedPortLimits,
  type PublishPortOptions,
  publishPort,
} from './published-port.js';
export type { ResolveHost } from './resolve-host.js';
