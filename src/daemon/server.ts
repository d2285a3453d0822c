/**
 * The operations over HTTP: `POST /v1/<operation>` with a JSON body. The answer is `{"result": …}` or
 * `{"error": …}`; `answer.ts` has its other forms. A conversation with a command of a guest is an upgrade to the
 * protocol of `contract/process-wire.ts`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  DOWNLOAD_OPERATIONS,
  type DownloadName,
  errorToJson,
  INPUT_HEADER,
  isDownload,
  isOperation,
  isProcessOperation,
  isUpload,
  MAX_STREAM_HEADER_BYTES,
  OPERATIONS,
  type Operation,
  openApiDocument,
  parseHeaderJson,
  type Service,
  type UploadName,
} from '../contract/index.js';
import { HearthError, type HearthErrorJson } from '../errors/index.js';
import type { Guard } from '../listen/index.js';
import type { Runtime } from '../sandboxes/index.js';
import { PROCESS_PROTOCOL, VERSION_HEADER } from '../sdk/index.js';
import { Answer, finishJson, statusOf } from './answer.js';
import { Metrics } from './metrics.js';
import { serveProcess } from './process-session.js';
import { readBody } from './read-body.js';
import { contentOf, discardRest, sendDownload } from './streams.js';

export interface DaemonServerOptions {
  readonly service: Service;
  readonly runtime: Runtime;
  readonly version: string;
  /** Somebody asked the daemon to end. */
  readonly onStop: (vms: 'keep' | 'stop') => void;
  readonly limits?: Partial<DaemonLimits>;
}

export interface DaemonLimits {
  readonly maxBodyBytes: number;
  /** Requests and commands at once. */
  readonly maxRequests: number;
  /** For a client to send its request. */
  readonly requestTimeoutMs: number;
  /** For the next bytes of an upload, while somebody waits for them. */
  readonly uploadIdleMs: number;
}

export interface DaemonServer {
  /** For the unix socket, whose mode says who may ask. */
  readonly http: Server;
  /** Another one, where every request has to pass the guard. */
  guardedHttp(guard: Guard): Server;
  /** Requests and commands under way. */
  readonly activeCount: number;
  /** When the last one ended, by `performance.now()`. */
  readonly lastActiveAt: number;
}

const DEFAULT_LIMITS: DaemonLimits = {
  maxBodyBytes: 4 * 1024 * 1024,
  maxRequests: 512,
  requestTimeoutMs: 30_000,
  uploadIdleMs: 5 * 60_000,
};
const MAX_CONNECTIONS = 1024;
const PREFIX = '/v1/';

export function createDaemonServer(options: DaemonServerOptions): DaemonServer {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const server = new OperationServer(options, limits);
  return {
    http: httpServer(server, limits, () => {}),
    guardedHttp: (guard) => httpServer(server, limits, guard),
    get activeCount() {
      return server.activeCount;
    },
    get lastActiveAt() {
      return server.lastActiveAt;
    },
  };
}

function httpServer(server: OperationServer, { requestTimeoutMs }: DaemonLimits, guard: Guard): Server {
  const http = createServer({
    maxHeaderSize: MAX_STREAM_HEADER_BYTES,
    // Of an upload nobody knows how long it takes; bodies of JSON have their time in `readBody`.
    requestTimeout: 0,
    headersTimeout: requestTimeoutMs,
  });
  http.maxConnections = MAX_CONNECTIONS;
  http.on('request', (request, response) => void server.answer(request, response, guard));
  http.on('upgrade', (request, socket, head) => void server.upgrade(request, socket, head, guard));
  http.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  });
  return http;
}

class OperationServer {
  readonly #options: DaemonServerOptions;
  readonly #limits: DaemonLimits;
  readonly #metrics = new Metrics();
  #requests = 0;
  #processes = 0;
  lastActiveAt = performance.now();

  constructor(options: DaemonServerOptions, limits: DaemonLimits) {
    this.#options = options;
    this.#limits = limits;
  }

  get activeCount(): number {
    return this.#requests + this.#processes;
  }

  async answer(request: IncomingMessage, response: ServerResponse, guard: Guard): Promise<void> {
    response.on('error', () => response.destroy());
    try {
      guard(request);
    } catch (error) {
      this.#turnAway(error, request, response);
      return;
    }
    response.setHeader(VERSION_HEADER, this.#options.version);
    if (request.method === 'GET') {
      this.#look(request.url ?? '', response);
      return;
    }
    const name = operationOf(request);
    const startedAt = performance.now();
    const answer = new Answer(request, response);
    this.#requests += 1;
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the client went away'));
    });
    try {
      this.#assertRoom();
      this.#assertVersion(request, name);
      if (request.method !== 'POST') throw unknownOperation(`${request.method} ${name}`);
      if (isDownload(name)) {
        const outcome = await this.#download(name, request, response, gone.signal);
        this.#metrics.count(name, outcome, startedAt);
        return;
      }
      const result = isUpload(name)
        ? await this.#upload(name, request, gone.signal)
        : await this.#carryOut(name, request, answer, gone.signal);
      this.#metrics.count(name, 'ok', startedAt);
      answer.result(result);
      if (name === 'daemon.stop') this.#options.onStop(isKeep(result) ? 'keep' : 'stop');
    } catch (error) {
      const json = errorToJson(error);
      this.#metrics.count(isOperation(name) || isStream(name) ? name : 'unknown', json.code, startedAt);
      answer.error(json);
      // What was not read of a request would be taken for the next one.
      if (isUpload(name)) discardRest(request);
      else if (!request.complete) request.destroy();
    } finally {
      this.#requests -= 1;
      this.lastActiveAt = performance.now();
    }
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, guard: Guard): Promise<void> {
    const name = operationOf(request);
    const startedAt = performance.now();
    socket.on('error', () => socket.destroy());
    try {
      guard(request);
      this.#assertRoom();
      this.#assertVersion(request, name);
      if (request.headers.upgrade !== PROCESS_PROTOCOL || !isProcessOperation(name)) {
        throw unknownOperation(name);
      }
    } catch (error) {
      refuse(socket, errorToJson(error));
      return;
    }
    this.#processes += 1;
    try {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${PROCESS_PROTOCOL}\r\n\r\n`,
      );
      if (head.byteLength > 0) socket.unshift(head);
      await serveProcess(socket, {
        inputTimeoutMs: this.#limits.requestTimeoutMs,
        open: (input, signal) => this.#options.service.process(name, input as never, { signal }),
      });
      this.#metrics.count(name, 'ok', startedAt);
    } finally {
      this.#processes -= 1;
      this.lastActiveAt = performance.now();
    }
  }

  async #download(
    name: DownloadName,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<string> {
    const input = parseHeaderJson(INPUT_HEADER, request.headers[INPUT_HEADER]);
    const download = await this.#options.service.download(name, input as never, { signal });
    const { mediaType } = DOWNLOAD_OPERATIONS[name];
    return await sendDownload(response, download, { mediaType, te: String(request.headers.te) });
  }

  async #upload(name: UploadName, request: IncomingMessage, signal: AbortSignal): Promise<unknown> {
    const input = parseHeaderJson(INPUT_HEADER, request.headers[INPUT_HEADER]);
    const content = contentOf(request, this.#limits.uploadIdleMs);
    return await this.#options.service.upload(name, input as never, content, { signal });
  }

  async #carryOut(
    name: string,
    request: IncomingMessage,
    answer: Answer,
    signal: AbortSignal,
  ): Promise<unknown> {
    const input = await readBody(request, {
      maxBytes: this.#limits.maxBodyBytes,
      timeoutMs: this.#limits.requestTimeoutMs,
    });
    if (name === 'daemon.ping') return { version: this.#options.version };
    if (name === 'daemon.stop') return { vms: isKeep(input) ? 'keep' : 'stop' };
    if (!isOperation(name)) throw unknownOperation(name);
    const operation: Operation = OPERATIONS[name];
    return await this.#options.service.call(name, input as never, {
      ...(operation.progress || operation.streams ? { signal } : {}),
      ...(operation.progress && answer.tellsMore
        ? { onProgress: (progress) => answer.progress(progress) }
        : {}),
      ...(operation.streams && answer.tellsMore ? { onOutput: (piece) => answer.output(piece) } : {}),
    });
  }

  #turnAway(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const json = errorToJson(error);
    this.#metrics.count('unknown', json.code, performance.now());
    if (json.code === 'DAEMON_UNAUTHORIZED') response.setHeader('www-authenticate', 'Bearer');
    finishJson(response, statusOf(json), { error: json });
    if (!request.complete) request.destroy();
  }

  #look(url: string, response: ServerResponse): void {
    const { runtime, version } = this.#options;
    switch (url) {
      case '/healthz':
      case '/readyz':
        finishJson(response, 200, { status: 'ok', version, sandboxes: runtime.list().length });
        return;
      case '/v1/openapi.json':
        finishJson(response, 200, openApiDocument(version));
        return;
      case '/metrics':
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
        response.end(
          this.#metrics.text({ version, runtime, requests: this.#requests, processes: this.#processes }),
        );
        return;
      default:
        finishJson(response, 404, { error: unknownOperation(`GET ${url.slice(0, 64)}`).toJSON() });
    }
  }

  #assertRoom(): void {
    const { maxRequests } = this.#limits;
    if (this.activeCount <= maxRequests) return;
    throw new HearthError(
      'REQUESTS_TOO_MANY',
      `the daemon has ${maxRequests} requests to carry out already`,
      {
        hint: 'Wait for some of them to end, then try again.',
        details: { maxRequests },
      },
    );
  }

  #assertVersion(request: IncomingMessage, name: string): void {
    const { version, runtime } = this.#options;
    const client = request.headers[VERSION_HEADER];
    // A client that names no version is not one of ours, and has to see for itself.
    if (client === undefined || client === version || name === 'daemon.stop') return;
    throw new HearthError(
      'DAEMON_VERSION_MISMATCH',
      `the daemon is hearth ${version}, this is hearth ${String(client).slice(0, 32)}`,
      {
        hint: 'Type `hearth serve --stop --keep` when its commands have ended: the sandboxes run on.',
        details: {
          daemon: version,
          client: String(client).slice(0, 32),
          connections: Math.max(0, this.activeCount - 1),
          sandboxes: runtime.activeCount,
        },
      },
    );
  }
}

function operationOf({ url = '' }: IncomingMessage): string {
  return url.startsWith(PREFIX) ? url.slice(PREFIX.length, PREFIX.length + 64) : url.slice(0, 64);
}

const isStream = (name: string): boolean => isDownload(name) || isUpload(name);

function isKeep(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'vms' in value && value.vms === 'keep';
}

function unknownOperation(name: string): HearthError {
  return new HearthError('OPERATION_UNKNOWN', `no operation ${JSON.stringify(name)}`, {
    hint: 'GET /v1/openapi.json has the operations of the daemon.',
    details: { operation: name },
  });
}

function refuse(socket: Duplex, error: HearthErrorJson): void {
  const body = JSON.stringify({ error });
  socket.end(
    `HTTP/1.1 ${statusOf(error)} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
