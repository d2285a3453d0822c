/**
 * CONNECT: a tunnel to an allowed host (RFC 9110 section 9.3.6).
 *
 * What runs inside is not looked at: the name in a TLS handshake may differ from the one asked for.
 */
import type { IncomingMessage } from 'node:http';
import type { ProxyContext } from './egress-context.js';
import type { Outcome } from './egress-exchange.js';
import { describeRefusal, encodeRefusal } from './egress-refusal.js';
import { isStillAllowed, openRoute } from './egress-route.js';
import type { GuestConnection } from './guest-connection.js';
import { readConnectTarget } from './request-target.js';
import { type SpliceResult, splice } from './splice.js';

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';

/**
 * Serves one CONNECT request to its end.
 *
 * @param head Bytes that the guest sent after its request, for the host.
 */
export async function serveConnect(
  context: ProxyContext,
  connection: GuestConnection,
  request: IncomingMessage,
  head: Buffer,
): Promise<void> {
  const { stream, signal } = connection;
  const exchange = context.begin('connect', () => connection.destroy());
  const refuse = (outcome: Exclude<Outcome, { decision: 'allowed' }>) => {
    exchange.report(outcome);
    if (outcome.reason === 'abandoned') return connection.destroy();
    connection.closeWith(encodeRefusal(describeRefusal(outcome.reason, exchange.host, exchange.port)));
  };

  const target = readConnectTarget(request, context.limits.maxHeaderCount);
  if (typeof target === 'string') return refuse({ decision: 'denied', reason: target });
  exchange.host = target.host.text;
  exchange.port = target.port;
  connection.leaveHttp();

  const route = await openRoute(context, target.host, target.port, { signal });
  exchange.address = route.address;
  exchange.rule = route.rule;
  if (route.kind === 'denied') return refuse({ decision: 'denied', reason: route.reason });
  if (route.kind === 'failed') return refuse({ decision: 'failed', reason: route.reason });
  if (signal.aborted || !isStillAllowed(context, { ...target, address: route.address })) {
    route.stream.destroy();
    return refuse({ decision: 'failed', reason: 'abandoned' });
  }

  exchange.report({ decision: 'allowed', reason: 'open' });
  stream.write(ESTABLISHED);
  if (head.byteLength > 0) route.stream.write(head);
  const { tunnelIdleTimeoutMs: idleTimeoutMs } = context.limits;
  const result = await context.open.during(
    { ...target, address: route.address },
    () => connection.cut(),
    () => splice(stream, route.stream, { idleTimeoutMs }),
  );
  exchange.bytesUp = head.byteLength + result.leftToRightBytes;
  exchange.bytesDown = result.rightToLeftBytes;
  exchange.report({ decision: 'allowed', reason: endingOf(result, connection) });
}

function endingOf({ ending }: SpliceResult, connection: GuestConnection) {
  if (ending === 'aborted' || (ending === 'broken' && connection.isCut())) return 'closed-by-proxy';
  return ending;
}
