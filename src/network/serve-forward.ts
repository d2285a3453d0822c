/**
 * Forwarding of `http://` requests (RFC 9110 section 7.6, RFC 9112).
 *
 * Every message is taken apart by Node's strict parser and written anew, so that a host never sees the
 * guest's own framing, nor the guest the host's. One connection per request. Upgrade and trailers are
 * left out, as the specification lets a proxy do.
 */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { type Duplex, pipeline } from 'node:stream';
import type { ProxyContext } from './egress-context.js';
import type { DenialReason, FailureReason } from './egress-event.js';
import type { Exchange, Outcome } from './egress-exchange.js';
import { describeRefusal, refusalHeaders } from './egress-refusal.js';
import { isStillAllowed, openRoute } from './egress-route.js';
import { bodyFraming, endToEndHeaders } from './forward-headers.js';
import type { GuestConnection } from './guest-connection.js';
import { type RequestTarget, readForwardTarget } from './request-target.js';

const VIA = '1.1 hearth';
const METHODS_WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

/** Serves one request; resolves when its response has been given to the guest's stream. */
export async function serveForward(
  context: ProxyContext,
  connection: GuestConnection,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const exchange = context.begin('http', () => connection.destroy());
  response.sendDate = false;
  const refuse = (outcome: Exclude<Outcome, { decision: 'allowed' }>) => {
    exchange.report(outcome);
    answerRefusal(request, response, outcome.reason, exchange);
  };

  const target = readForwardTarget(request, context.limits.maxHeaderCount);
  if (typeof target === 'string') return refuse({ decision: 'denied', reason: target });
  exchange.host = target.host.text;
  exchange.port = target.port;

  const route = await openRoute(context, target.host, target.port, connection);
  exchange.address = route.address;
  exchange.rule = route.rule;
  if (route.kind === 'denied') return refuse({ decision: 'denied', reason: route.reason });
  if (route.kind === 'failed') return refuse({ decision: 'failed', reason: route.reason });
  const opened = { host: target.host, port: target.port, address: route.address };
  if (!isStillAllowed(context, opened)) {
    route.stream.destroy();
    return refuse({ decision: 'failed', reason: 'abandoned' });
  }
  try {
    const { stream: host } = route;
    const outcome = await context.open.during(
      opened,
      () => connection.cut(),
      () => relay({ context, connection, request, response, exchange, target, host }),
    );
    if (outcome.decision === 'allowed') exchange.report(outcome);
    else refuse(outcome);
  } finally {
    route.stream.destroy();
  }
}

interface Relay {
  readonly context: ProxyContext;
  readonly connection: GuestConnection;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly exchange: Exchange;
  readonly target: RequestTarget;
  /** The open connection to the host. */
  readonly host: Duplex;
}

/** Sends the request and streams the response; what fails before the response began is left for the caller to answer. */
function relay(parts: Relay): Promise<Outcome> {
  const { context, connection, request, response, exchange, host } = parts;
  let outgoing: ClientRequest;
  try {
    outgoing = openRequest(parts);
  } catch {
    return Promise.resolve({ decision: 'denied', reason: 'request-malformed' });
  }
  return new Promise((resolve) => {
    let isOver = false;
    const end = (outcome: Outcome) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(idle);
      connection.signal.removeEventListener('abort', abort);
      outgoing.destroy();
      if (outcome.decision === 'allowed' && outcome.reason !== 'completed') connection.destroy();
      resolve(outcome);
    };
    const endBadly = (started: 'broken' | 'idle-timeout' | 'closed-by-proxy', otherwise: FailureReason) => {
      end(
        response.headersSent
          ? { decision: 'allowed', reason: started }
          : { decision: 'failed', reason: otherwise },
      );
    };
    const abort = () => endBadly(connection.isCut() ? 'closed-by-proxy' : 'broken', 'abandoned');
    const idle = setTimeout(
      () => endBadly('idle-timeout', 'response-timeout'),
      context.limits.responseIdleTimeoutMs,
    );
    if (connection.signal.aborted) return abort();
    connection.signal.addEventListener('abort', abort, { once: true });

    const noResponse = () => endBadly('broken', 'response-invalid');
    outgoing.on('continue', () => response.writeContinue());
    outgoing.on('response', (answer) => {
      // From here on an error of the request is the host no longer reading it, which its answer explains.
      outgoing.removeListener('error', noResponse);
      outgoing.removeListener('close', noResponse);
      if (!startResponse(request, response, answer)) return endBadly('broken', 'response-invalid');
      answer.on('data', (chunk: Buffer) => {
        exchange.bytesDown += chunk.byteLength;
        idle.refresh();
      });
      pipeline(answer, response, (error) =>
        error ? endBadly('broken', 'response-invalid') : end({ decision: 'allowed', reason: 'completed' }),
      );
    });
    outgoing.on('error', noResponse);
    outgoing.on('error', () => {});
    // Also when the host changes protocols, which was not asked for.
    outgoing.on('close', noResponse);
    host.on('error', () => {});

    request.on('data', (chunk: Buffer) => {
      exchange.bytesUp += chunk.byteLength;
      idle.refresh();
    });
    request.on('error', () => {});
    request.pipe(outgoing);
  });
}

/** @throws When Node refuses to write the request's method, path or headers. */
function openRequest({ context, request, target, host }: Relay): ClientRequest {
  const framing = bodyFraming(request.rawHeaders);
  const headers = ['Host', target.hostField, ...withoutField(endToEndHeaders(request.rawHeaders), 'host')];
  if (framing === 'chunked') headers.push('Transfer-Encoding', 'chunked');
  if (framing === 'none' && !METHODS_WITHOUT_BODY.has(request.method ?? 'GET'))
    headers.push('Content-Length', '0');
  headers.push('Via', VIA, 'Connection', 'close');
  const outgoing = httpRequest({
    createConnection: () => host,
    method: request.method,
    path: target.path,
    headers,
    maxHeaderSize: context.limits.maxHeaderBytes,
    insecureHTTPParser: false,
  });
  if (framing !== 'none') outgoing.flushHeaders();
  return outgoing;
}

/** @returns false when the host's head cannot be passed on; nothing has been sent then. */
function startResponse(request: IncomingMessage, response: ServerResponse, answer: IncomingMessage): boolean {
  const framing = bodyFraming(answer.rawHeaders);
  if (framing === 'unsupported') return false;
  const headers = [...endToEndHeaders(answer.rawHeaders), 'Via', VIA];
  // The rest of an unfinished request cannot be told from the next one.
  if (!request.complete) headers.push('Connection', 'close');
  try {
    response.writeHead(answer.statusCode ?? 0, printable(answer.statusMessage ?? ''), headers);
    response.flushHeaders();
    return true;
  } catch {
    return false;
  }
}

function answerRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  reason: DenialReason | FailureReason,
  { host, port }: Exchange,
): void {
  if (reason === 'abandoned' || response.headersSent) return void response.destroy();
  const { status, phrase, body } = describeRefusal(reason, host, port);
  const headers = refusalHeaders(body).flat();
  if (!request.complete) headers.push('Connection', 'close');
  response.writeHead(status, phrase, headers);
  response.end(body);
}

function withoutField(headers: readonly string[], name: string): string[] {
  return headers.filter((_, index) => headers[index - (index % 2)]?.toLowerCase() !== name);
}

function printable(text: string): string {
  return /^[\t\x20-\x7e]*$/.test(text) ? text : '';
}
