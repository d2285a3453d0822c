/**
 * The egress proxy: the only way out for a guest that has no network device.
 *
 * It speaks HTTP/1.1 on every stream it is handed, wherever that comes from: CONNECT opens a tunnel,
 * a request for an `http://` URL is forwarded, everything else is refused. The guest is hostile; what
 * it can cost the host is bounded by {@link EgressLimits}.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ConnectAddress, connectTcp } from './connect-first.js';
import type { ProxyContext } from './egress-context.js';
import type { DenialReason, EgressEvent } from './egress-event.js';
import { createExchanges } from './egress-exchange.js';
import { DEFAULT_EGRESS_LIMITS, type EgressLimits } from './egress-limits.js';
import { compileEgressPolicy, type EgressPolicy } from './egress-policy.js';
import { describeRefusal, encodeRefusal } from './egress-refusal.js';
import { isStillAllowed } from './egress-route.js';
import { createGuestConnection, type GuestConnection } from './guest-connection.js';
import type { IpBlock } from './ip-address.js';
import { readLocalNetworks } from './local-networks.js';
import { OpenRoutes } from './open-routes.js';
import { createHostResolver, type ResolveHost } from './resolve-host.js';
import { serveConnect } from './serve-connect.js';
import { serveForward } from './serve-forward.js';

export interface EgressProxyOptions {
  readonly policy: EgressPolicy;
  /**
   * Told of every decision. If it throws, the connection it was told about is cut. A guest can cause
   * thousands of events a second: whoever stores them bounds them.
   */
  readonly onDecision: (event: EgressEvent) => void;
  /** Default: the host's DNS servers. Its answers are checked, never trusted. */
  readonly resolve?: ResolveHost;
  /** Default: TCP. It is given checked addresses only, never names. */
  readonly connect?: ConnectAddress;
  readonly limits?: Partial<EgressLimits>;
}

export interface EgressProxy {
  /** Takes over a stream from the guest, and destroys it in the end. */
  handle(stream: Duplex): void;
  /**
   * Decides by this policy from now on, and cuts the connections that it does not allow; others go on.
   *
   * @throws {HearthError} `HOST_PATTERN_INVALID`; the policy is then as it was.
   */
  setPolicy(policy: EgressPolicy): void;
  /** Cuts every connection; streams handed over later are destroyed at once. Idempotent. */
  close(): void;
}

/** How often at most a guest that opens too many streams is reported. */
const OVERLOAD_REPORT_INTERVAL_MS = 1000;

/** @throws {HearthError} `HOST_PATTERN_INVALID` for a policy with an invalid pattern. */
export function createEgressProxy(options: EgressProxyOptions): EgressProxy {
  const limits = { ...DEFAULT_EGRESS_LIMITS, ...options.limits };
  const connections = new Map<unknown, GuestConnection>();
  const open = new OpenRoutes();
  let policy = compileEgressPolicy(options.policy);
  let isClosed = false;
  let overloadReportedAt = Number.NEGATIVE_INFINITY;

  const context: ProxyContext = {
    get policy() {
      return policy;
    },
    open,
    limits,
    resolve: options.resolve ?? createHostResolver(),
    connect: options.connect ?? connectTcp,
    localNetworks: cachedLocalNetworks(),
    begin: createExchanges(options.onDecision),
  };
  const deny = (connection: GuestConnection, reason: DenialReason) => {
    context.begin('http', () => {}).report({ decision: 'denied', reason });
    connection.closeWith(encodeRefusal(describeRefusal(reason, '', 0)));
  };

  const server = createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    insecureHTTPParser: false,
    requireHostHeader: false,
    keepAliveTimeout: limits.headTimeoutMs,
  });
  // The parser silently drops what is beyond this; one more than allowed is enough to refuse.
  server.maxHeadersCount = limits.maxHeaderCount + 1;
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket);
    if (connection === undefined) return void response.destroy();
    const accepted = connection.enqueue(response, () => serveForward(context, connection, request, response));
    if (!accepted)
      context.begin('http', () => {}).report({ decision: 'denied', reason: 'pipeline-too-long' });
  };
  server.on('request', serve);
  server.on('checkContinue', serve);
  server.on('connect', (request, stream, head) => {
    const connection = connections.get(stream);
    // A tunnel behind unanswered requests would mix its bytes with their responses.
    if (connection === undefined || connection.isBusy()) return void stream.destroy();
    void serveConnect(context, connection, request, head).catch(() => connection.destroy());
  });
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const connection = connections.get(stream);
    const isParseError = error.code?.startsWith('HPE_') === true;
    if (connection === undefined || connection.isBusy() || !isParseError || !stream.writable) {
      return void stream.destroy();
    }
    deny(connection, error.code === 'HPE_HEADER_OVERFLOW' ? 'headers-too-large' : 'request-malformed');
  });

  return {
    handle(original) {
      if (isClosed || original.destroyed) return void original.on('error', () => {}).destroy();
      const connection = createGuestConnection(original, limits);
      const { stream } = connection;
      if (connections.size >= limits.maxConnections) {
        const now = performance.now();
        const isDue = now - overloadReportedAt >= OVERLOAD_REPORT_INTERVAL_MS;
        if (!isDue) return connection.destroy();
        overloadReportedAt = now;
        return deny(connection, 'connections-too-many');
      }
      connections.set(stream, connection);
      stream.once('close', () => connections.delete(stream));
      server.emit('connection', stream);
    },
    setPolicy(next) {
      policy = compileEgressPolicy(next);
      open.cut((route) => !isStillAllowed(context, route));
    },
    close() {
      isClosed = true;
      for (const connection of connections.values()) connection.cut();
    },
  };
}

const LOCAL_NETWORKS_LIFETIME_MS = 5000;

/** Asking the kernel for every connection would let a guest make the host busy. */
function cachedLocalNetworks(): () => readonly IpBlock[] {
  let blocks: readonly IpBlock[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    const now = performance.now();
    if (now - readAt > LOCAL_NETWORKS_LIFETIME_MS) [blocks, readAt] = [readLocalNetworks(), now];
    return blocks;
  };
}
