/** What the egress proxy tells about every connection that a sandbox asked for. */
import type { AddressClass } from './address-class.js';

export type DenialReason =
  | 'host-not-allowed'
  | 'port-not-allowed'
  | `address-${Exclude<AddressClass, 'public'>}`
  /** Not a request that a proxy may forward: bad syntax, ambiguous length, odd host spelling. */
  | 'request-malformed'
  /** Understood and refused: another scheme, method, version or coding. */
  | 'request-unsupported'
  | 'headers-too-large'
  | 'connections-too-many'
  | 'pipeline-too-long';

export type FailureReason =
  | 'name-not-found'
  | 'resolve-failed'
  | 'resolve-timeout'
  | 'connect-failed'
  | 'connect-timeout'
  /** The host sent something that is not HTTP, or nothing. */
  | 'response-invalid'
  | 'response-timeout'
  /** The guest went away, or the proxy was closed, before there was an answer. */
  | 'abandoned';

/** How an allowed connection ended. */
export type AllowedReason = 'open' | 'completed' | 'broken' | 'idle-timeout' | 'closed-by-proxy';

interface EgressEventBase {
  /** When the event was made, ISO 8601 in UTC. */
  readonly at: string;
  /** The same for the events of one connection, rising from 1 in each proxy. */
  readonly id: number;
  /** `connect` for a tunnel, `http` for a forwarded request. */
  readonly kind: 'connect' | 'http';
  /** As the guest asked, in its one spelling; empty when the request was too malformed to tell. */
  readonly host: string;
  /** 0 when the request was too malformed to tell. */
  readonly port: number;
  /** The address that was connected to, or that was refused. */
  readonly address?: string;
  /** The pattern that allowed the host, or `public`. */
  readonly rule?: string;
  /** Bytes of the tunnel or the request's body that the host was sent. */
  readonly bytesUp: number;
  /** Bytes of the tunnel or the response's body that came from the host. */
  readonly bytesDown: number;
  /** Since the request arrived, in milliseconds. */
  readonly durationMs: number;
}

/**
 * One per request, when it is over; a tunnel also has one with the reason `open` when it opens, so that
 * what is still running is on record.
 */
export type EgressEvent = EgressEventBase &
  (
    | { readonly decision: 'allowed'; readonly reason: AllowedReason }
    | { readonly decision: 'denied'; readonly reason: DenialReason }
    | { readonly decision: 'failed'; readonly reason: FailureReason }
  );
