/** One HTTP exchange: connection, proxy, certificates, time limits and coded errors. No redirects, no credentials. */
import type { Dispatcher } from 'undici';
import { fileError, HearthError } from '../errors/index.js';
import { readFileBounded } from '../fsx/index.js';
import { codeOf, registryTimeout, responseInvalid, transportError } from './failures.js';
import type { RegistryLimits, RegistryOptions } from './options.js';
import { proxyFor } from './proxy.js';

export interface HttpRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  readonly status: number;
  /** The first value of a header, by its lower-case name. */
  header(name: string): string | undefined;
  headers(name: string): readonly string[];
  /** The body; to be read to its end or discarded. Rejects with coded errors. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Gives up the rest of the body, and the connection with it if much is left. */
  discard(): void;
}

const MAX_CA_FILE_BYTES = 16 * 1024 * 1024;
const BODY_BUFFER_BYTES = 1024 * 1024;
const SMALL_REST_BYTES = 64 * 1024;

export class HttpClient {
  readonly #options: RegistryOptions;
  readonly #limits: RegistryLimits;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #agents = new Map<string, Promise<Dispatcher>>();
  #authorities: Promise<string[] | undefined> | undefined;

  constructor(options: RegistryOptions, limits: RegistryLimits) {
    this.#options = options;
    this.#limits = limits;
    this.#env = options.env ?? process.env;
  }

  /** True when the user has allowed this host (`host` or `host:port`) to be insecure. */
  isInsecure(url: URL): boolean {
    const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
    const names = [url.hostname, `${url.hostname}:${port}`];
    return (this.#options.insecure ?? []).some((name) => names.includes(name.toLowerCase()));
  }

  /**
   * Sends a request and resolves with the response's head.
   *
   * @throws {HearthError} `REGISTRY_UNAVAILABLE`, `REGISTRY_TIMEOUT`, `REGISTRY_TLS_INVALID`, `REGISTRY_INSECURE`,
   *   `REGISTRY_RESPONSE_INVALID`; rejects with `signal.reason` when aborted.
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    const { url, method, signal } = request;
    signal?.throwIfAborted();
    const dispatcher = this.#options.dispatcher ?? (await this.#agentFor(url));
    try {
      const response = await dispatcher.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { 'user-agent': 'hearth', 'accept-encoding': 'identity', ...request.headers },
        body: request.body ?? null,
        headersTimeout: this.#limits.headerTimeoutMs,
        bodyTimeout: this.#limits.stallTimeoutMs,
        highWaterMark: BODY_BUFFER_BYTES,
        signal: signal ?? null,
      });
      return new ReceivedResponse(url, response, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw HearthError.is(error) ? error : transportError(error, url);
    }
  }

  /** Closes all connections; requests under way fail. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all(agents.map(async (agent) => (await agent).destroy()));
  }

  #agentFor(url: URL): Promise<Dispatcher> {
    const proxy = proxyFor(url, this.#env);
    const isInsecure = this.isInsecure(url);
    // A proxy gets plain requests as such and encrypted ones through a tunnel.
    const isTunnel = url.protocol === 'https:';
    const key = `${proxy?.href ?? ''} ${isInsecure} ${proxy === undefined || isTunnel}`;
    const known = this.#agents.get(key);
    if (known !== undefined) return known;
    const agent = this.#createAgent(proxy, isInsecure, isTunnel);
    this.#agents.set(key, agent);
    return agent;
  }

  async #createAgent(proxy: URL | undefined, isInsecure: boolean, isTunnel: boolean): Promise<Dispatcher> {
    this.#authorities ??= this.#readAuthorities();
    // Loading the library takes longer than opening a cached image, which needs none of it.
    const [{ Agent, ProxyAgent }, ca] = await Promise.all([import('undici'), this.#authorities]);
    const tls = { ...(ca === undefined ? {} : { ca }), rejectUnauthorized: !isInsecure };
    const timeout = this.#limits.connectTimeoutMs;
    if (proxy === undefined) {
      return new Agent({ connect: { ...tls, timeout }, connectTimeout: timeout, autoSelectFamily: true });
    }
    const { username, password } = proxy;
    const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const bare = new URL(proxy.href);
    bare.username = '';
    bare.password = '';
    return new ProxyAgent({
      uri: bare.href,
      proxyTunnel: isTunnel,
      requestTls: { ...tls, timeout },
      proxyTls: { ...tls, rejectUnauthorized: true, timeout },
      connectTimeout: timeout,
      ...(username === '' ? {} : { token: `Basic ${Buffer.from(login).toString('base64')}` }),
    });
  }

  /** Node's own authorities and the user's; undefined when there are only Node's. */
  async #readAuthorities(): Promise<string[] | undefined> {
    const files = [this.#options.caFile, this.#env.SSL_CERT_FILE].filter(
      (path): path is string => path !== undefined && path !== '',
    );
    if (files.length === 0) return undefined;
    // Node adds this file by itself only where no list is given.
    const extra = this.#env.NODE_EXTRA_CA_CERTS;
    if (extra !== undefined && extra !== '') files.push(extra);
    const { rootCertificates } = await import('node:tls');
    return [...rootCertificates, ...(await Promise.all(files.map(readCertificates)))];
  }
}

async function readCertificates(path: string): Promise<string> {
  let text: string;
  try {
    text = (await readFileBounded(path, MAX_CA_FILE_BYTES)).toString('latin1');
  } catch (error) {
    throw fileError(error, path);
  }
  if (text.includes('-----BEGIN')) return text;
  throw new HearthError('CONFIG_INVALID', `${path} holds no certificates in PEM form`, {
    hint: 'Name a file with -----BEGIN CERTIFICATE----- blocks.',
    details: { path },
  });
}

class ReceivedResponse implements HttpResponse {
  readonly url: URL;
  readonly #response: Dispatcher.ResponseData;
  readonly #signal: AbortSignal | undefined;

  constructor(url: URL, response: Dispatcher.ResponseData, signal: AbortSignal | undefined) {
    this.url = url;
    this.#response = response;
    this.#signal = signal;
    response.body.on('error', () => {
      // Reaches whoever reads the body; a body that nobody reads may fail unseen.
    });
  }

  get status(): number {
    return this.#response.statusCode;
  }

  header(name: string): string | undefined {
    return this.headers(name)[0];
  }

  headers(name: string): readonly string[] {
    const value = this.#response.headers[name];
    return value === undefined ? [] : typeof value === 'string' ? [value] : value;
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    try {
      for await (const chunk of this.#response.body) yield chunk;
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (codeOf(error) === 'UND_ERR_BODY_TIMEOUT')
        throw registryTimeout(this.url, 'between two bytes', error);
      throw HearthError.is(error) ? error : transportError(error, this.url);
    }
  }

  discard(): void {
    this.#response.body.dump({ limit: SMALL_REST_BYTES }).catch(() => {
      // Nobody wants the rest.
    });
  }
}

/**
 * Runs `body` with a signal that aborts when it takes longer than `timeoutMs`.
 *
 * @throws {HearthError} `REGISTRY_TIMEOUT` then.
 */
export async function withDeadline<T>(
  url: URL,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  body: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(registryTimeout(url, 'to answer in full')), timeoutMs);
  try {
    return await body(signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads a whole body of at most `maxBytes`.
 *
 * @param tooLarge Makes the error for a larger one from its size so far.
 */
export async function readBody(
  response: HttpResponse,
  maxBytes: number,
  tooLarge: (sizeBytes: number) => HearthError,
): Promise<Buffer> {
  const announced = Number(response.header('content-length') ?? 'NaN');
  if (announced > maxBytes) {
    response.discard();
    throw tooLarge(announced);
  }
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.chunks()) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw tooLarge(sizeBytes);
    parts.push(chunk);
  }
  return Buffer.concat(parts, sizeBytes);
}

/**
 * Refuses an HTML page where a document is expected: the mark of login pages and proxies.
 *
 * @throws {HearthError} `REGISTRY_RESPONSE_INVALID` with the page's title.
 */
export function assertNotHtml(response: HttpResponse, start: Uint8Array): void {
  const head = Buffer.from(start.buffer, start.byteOffset, Math.min(start.byteLength, 2048)).toString(
    'latin1',
  );
  const isHtmlType = /^\s*(?:text\/html|application\/xhtml)/i.test(response.header('content-type') ?? '');
  if (!isHtmlType && !/^\s*(?:<!doctype html|<html|<head|<body)/i.test(head)) return;
  const title = /<title[^>]*>([^<]{1,200})/i.exec(head)?.[1]?.trim();
  throw responseInvalid(
    response.url,
    `it is an HTML page${title === undefined ? '' : ` titled ${JSON.stringify(title)}`}`,
    {
      isHtml: true,
      title: title ?? null,
    },
  );
}
