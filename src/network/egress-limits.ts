/** What one guest may cost the host through its egress proxy. */

export interface EgressLimits {
  /** Streams served at once. */
  readonly maxConnections: number;
  /** Requests read ahead on one stream while an earlier one is being answered. */
  readonly maxPipelinedRequests: number;
  /** Request line and headers together, in bytes; also of a response. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  /** From the start of a stream, or the end of a response, to the end of the next request's headers. */
  readonly headTimeoutMs: number;
  readonly resolveTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Longest silence in both directions of a forwarded request. */
  readonly responseIdleTimeoutMs: number;
  /** Longest silence in both directions of a tunnel. */
  readonly tunnelIdleTimeoutMs: number;
}

export const DEFAULT_EGRESS_LIMITS: EgressLimits = {
  maxConnections: 128,
  maxPipelinedRequests: 16,
  maxHeaderBytes: 32 * 1024,
  maxHeaderCount: 128,
  headTimeoutMs: 60_000,
  resolveTimeoutMs: 15_000,
  connectTimeoutMs: 30_000,
  responseIdleTimeoutMs: 600_000,
  tunnelIdleTimeoutMs: 1_800_000,
};
