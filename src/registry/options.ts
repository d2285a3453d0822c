/** What a caller may choose about the registry client, and the limits that hold otherwise. */
import type { Dispatcher } from 'undici';

export type RegistryAuth =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token (`identitytoken` of Docker's config), exchanged at the token server. */
  | { readonly kind: 'identityToken'; readonly token: string }
  /** A ready bearer token (`registrytoken` of Docker's config). */
  | { readonly kind: 'registryToken'; readonly token: string }
  /** Looks for no credentials at all. */
  | { readonly kind: 'anonymous' };

export interface RegistryLimits {
  /** To connect, and to the response's headers after that. Default 30 s each. */
  readonly connectTimeoutMs: number;
  readonly headerTimeoutMs: number;
  /** Without a byte of a body. Default 30 s. */
  readonly stallTimeoutMs: number;
  /** For a whole document: manifest, config, token. Default 90 s. */
  readonly requestTimeoutMs: number;
  /** A blob that arrives more slowly, over `rateWindowMs`, counts as stalled. Default 1 KiB/s over 30 s. */
  readonly minBytesPerSecond: number;
  readonly rateWindowMs: number;
  /** Attempts in a row that fail, for a document. Default 4. */
  readonly maxAttempts: number;
  /** Attempts in a row that bring nothing new of a blob; enough to outlast a network that is away for 20 s. Default 8. */
  readonly maxTransferAttempts: number;
  /** The first pause between attempts; each further one is twice as long, all with jitter. Default 250 ms. */
  readonly retryBaseMs: number;
  /** The longest pause, and the longest `Retry-After` that is waited for. Default 30 s. */
  readonly maxRetryAfterMs: number;
  /** Blobs on their way at once. Default 4. */
  readonly maxTransfers: number;
}

export const DEFAULT_LIMITS: RegistryLimits = {
  connectTimeoutMs: 30_000,
  headerTimeoutMs: 30_000,
  stallTimeoutMs: 30_000,
  requestTimeoutMs: 90_000,
  minBytesPerSecond: 1024,
  rateWindowMs: 30_000,
  maxAttempts: 4,
  maxTransferAttempts: 8,
  retryBaseMs: 250,
  maxRetryAfterMs: 30_000,
  maxTransfers: 4,
};

export interface RegistryOptions {
  readonly signal?: AbortSignal;
  /** For the reference's own registry; default: what Docker's and Podman's files say. Mirrors have their own. */
  readonly auth?: RegistryAuth;
  /** Where to look for credentials, proxies and certificates. Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Hosts (`host` or `host:port`) whose certificate is not checked and which may speak plain HTTP. */
  readonly insecure?: readonly string[];
  /** For a registry, the places asked before it: `host[:port]` or a URL with a path. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>;
  /** For a registry, further hosts whose token servers may get its credentials. */
  readonly trustedRealms?: Readonly<Record<string, readonly string[]>>;
  /** PEM file of certificate authorities trusted beside the usual ones. */
  readonly caFile?: string;
  /** Carries out all HTTP, for tests and embedders; proxies and certificates are its own affair then. */
  readonly dispatcher?: Dispatcher;
  readonly limits?: Partial<RegistryLimits>;
}
