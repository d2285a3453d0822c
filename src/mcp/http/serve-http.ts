/** The server over Streamable HTTP, for whoever brings the token: `POST /mcp`, and `DELETE /mcp` to end a session. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMcpHandler, isLegacyRequest } from '@modelcontextprotocol/server';
import { errorToJson } from '../../contract/index.js';
import { ERROR_KINDS, HearthError } from '../../errors/index.js';
import { type ListenAddress, openListener, tokenGuard } from '../../listen/index.js';
import { CallTracker } from '../call-tracker.js';
import { createMcpServer, type McpServerParts } from '../mcp-server.js';
import { Sessions } from './sessions.js';
import { sendWebResponse, webRequest } from './web-messages.js';

export interface ServeHttpOptions extends Omit<McpServerParts, 'calls'> {
  readonly address: ListenAddress;
  readonly token: string;
  /** Ends the server. */
  readonly signal: AbortSignal;
  /** @param url Where clients connect to. */
  readonly onReady: (url: string) => void;
  /** Something that no call can be told. */
  readonly onError: (error: Error) => void;
}

const PATH = '/mcp';
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 30_000;
/** For calls to kill and remove what they have begun. */
const CLOSE_TIMEOUT_MS = 15_000;
/** For the answers of these calls to reach their clients. */
const ANSWER_TIMEOUT_MS = 2000;

/**
 * Resolves when the signal aborts, and nothing of a call is left.
 *
 * @throws {HearthError} `PORT_IN_USE`, `PORT_ADDRESS_UNAVAILABLE`.
 */
export async function serveOverHttp(options: ServeHttpOptions): Promise<void> {
  const { address, token, signal, onReady, onError, ...parts } = options;
  const calls = new CallTracker();
  const create = () => createMcpServer({ ...parts, calls });
  const modern = createMcpHandler(create, {
    legacy: 'reject',
    maxRequestBodySize: MAX_BODY_BYTES,
    onerror: onError,
  });
  const sessions = new Sessions(create);
  const guard = tokenGuard(token);
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    guard(request);
    assertPath(request);
    const web = await webRequest(request, goneSignal(response), {
      maxBytes: MAX_BODY_BYTES,
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    if (!(await isLegacyRequest(web, undefined, { maxRequestBodySize: MAX_BODY_BYTES }))) {
      await sendWebResponse(await modern.fetch(web), response);
      return;
    }
    const { response: legacy, done } = await sessions.answer(web);
    await sendWebResponse(legacy, response).finally(done);
  };
  const answers = new Set<Promise<void>>();
  const http = httpServer((request, response) => {
    response.on('error', () => response.destroy());
    const answered = answer(request, response)
      .catch((error: unknown) => refuse(error, request, response))
      .finally(() => answers.delete(answered));
    answers.add(answered);
  });
  const url = await openListener(http, address);
  onReady(`${url}${PATH}`);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  http.close();
  await calls.close(CLOSE_TIMEOUT_MS);
  await Promise.race([Promise.all(answers), sleep(ANSWER_TIMEOUT_MS, undefined, { ref: false })]);
  await Promise.all([modern.close(), sessions.close()]);
  http.closeAllConnections();
}

function httpServer(listener: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const http = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
    },
    listener,
  );
  http.maxConnections = MAX_CONNECTIONS;
  http.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  });
  return http;
}

/** Aborts when the client is gone before its answer: nobody could be given the result any more. */
function goneSignal(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new Error('the client went away'));
  });
  return gone.signal;
}

function assertPath(request: IncomingMessage): void {
  const [path = ''] = (request.url ?? '').split('?');
  if (path === PATH && (request.method === 'POST' || request.method === 'DELETE')) return;
  // GET is for messages that the server begins; this one never does.
  throw new HearthError('REQUEST_INVALID', `nothing is served at ${request.method} ${path.slice(0, 64)}`, {
    hint: `Give the client the URL that ends with ${PATH}.`,
  });
}

function refuse(error: unknown, request: IncomingMessage, response: ServerResponse): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const json = errorToJson(error);
  const isGet = request.method === 'GET' && json.code === 'REQUEST_INVALID';
  const status = isGet ? 405 : json.code === 'DAEMON_UNAUTHORIZED' ? 401 : ERROR_KINDS[json.kind].httpStatus;
  const text = `${JSON.stringify({ error: json })}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    // What was not read of a request would be taken for the next one.
    ...(request.complete ? {} : { connection: 'close' }),
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(status === 405 ? { allow: 'POST, DELETE' } : {}),
  });
  response.end(text);
}
