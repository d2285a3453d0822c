/** One repository at one endpoint: requests with authorization, redirects and the choice of scheme. */
import { HearthError } from '../errors/index.js';
import { isLoopbackHost } from './addresses.js';
import { Authorizer } from './authorizer.js';
import type { Endpoint } from './endpoint.js';
import type { HttpClient, HttpResponse } from './http.js';
import type { RegistryAuth, RegistryLimits } from './options.js';
import { isRedirect, nextLocation } from './redirect.js';
import { statusError, type Wanted } from './status.js';

export interface SessionOptions {
  readonly http: HttpClient;
  readonly endpoint: Endpoint;
  readonly repository: string;
  readonly limits: RegistryLimits;
  readonly trustedRealms: readonly string[];
  readonly findCredentials: (signal?: AbortSignal) => Promise<RegistryAuth | undefined>;
}

export interface SessionRequest {
  readonly method: 'GET' | 'HEAD';
  /** Below `/v2/<repository>/`: `manifests/12`, `blobs/sha256:…`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly wanted: Wanted;
  readonly signal?: AbortSignal;
}

/** A token may run out again between its renewal and its use, but not forever. */
const MAX_RENEWALS = 2;
/** What servers of HTTPS say to plain HTTP. */
const WANTS_TLS = /HTTPS/i;

export class Session {
  readonly #options: SessionOptions;
  #base: URL | undefined;
  #choosing: Promise<void> | undefined;
  #authorizer: Authorizer | undefined;
  #hasAnswered = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get endpoint(): Endpoint {
    return this.#options.endpoint;
  }

  /** Names the endpoint in messages. */
  get url(): URL {
    const url = this.#base ?? this.#options.endpoint.bases[0];
    if (url === undefined) throw new HearthError('INTERNAL', 'an endpoint without a URL');
    return url;
  }

  /** Whether anything has come from here yet. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /**
   * Sends a request and resolves with a 2xx response.
   *
   * @throws {HearthError} by status (see `statusError`), `REDIRECT_REFUSED`, and what the exchange throws.
   */
  async request(request: SessionRequest): Promise<HttpResponse> {
    while (this.#base === undefined) {
      const choosing = this.#choosing;
      if (choosing === undefined) {
        const first = this.#chooseBase(request).finally(() => {
          this.#choosing = undefined;
        });
        this.#choosing = first.then(
          () => undefined,
          () => undefined,
        );
        return first;
      }
      // The first request finds out which scheme is spoken; the others wait for it.
      await choosing;
    }
    return this.#requestFrom(this.#base, request);
  }

  async #chooseBase(request: SessionRequest): Promise<HttpResponse> {
    let first: unknown;
    for (const base of this.#options.endpoint.bases) {
      try {
        const response = await this.#requestFrom(base, request);
        this.#base = base;
        return response;
      } catch (error) {
        first ??= error;
        if (isOtherScheme(error)) continue;
        // A server that answers has shown its scheme, whatever it thinks of the request.
        if (this.#hasAnswered) this.#base = base;
        throw error;
      }
    }
    throw first;
  }

  async #requestFrom(base: URL, request: SessionRequest): Promise<HttpResponse> {
    const { repository } = this.#options;
    const url = new URL(`${base.href.replace(/\/$/, '')}/v2/${repository}/${request.path}`);
    const authorizer = this.#authorizerFor(base);
    for (let renewals = 0; ; renewals += 1) {
      const used = authorizer.header;
      const response = await this.#follow(url, request, used);
      this.#hasAnswered = true;
      const isOwn = response.url.origin === url.origin;
      if (response.status >= 200 && response.status < 300) return response;
      if (response.status !== 401 || !isOwn || renewals >= MAX_RENEWALS) {
        throw await this.#refusal(response, request.wanted, isOwn);
      }
      response.discard();
      await authorizer.renew(response, used, request.signal);
    }
  }

  async #refusal(response: HttpResponse, wanted: Wanted, isOwn: boolean): Promise<HearthError> {
    const error = await statusError(response, wanted);
    if (isOwn || (response.status !== 403 && response.status !== 401)) return error;
    // Storage behind the registry refuses links that have run out; the registry gives a new one.
    const { code, message, hint, details } = error;
    return new HearthError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      details: { ...details, isPassing: true },
    });
  }

  async #follow(
    start: URL,
    request: SessionRequest,
    authorization: string | undefined,
  ): Promise<HttpResponse> {
    const visited = [start];
    let url = start;
    for (;;) {
      const headers = { ...request.headers };
      if (authorization !== undefined && url.origin === start.origin) headers.authorization = authorization;
      const response = await this.#options.http.send({
        url,
        method: request.method,
        headers,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      if (!isRedirect(response.status)) return response;
      response.discard();
      url = nextLocation(visited, response.header('location'), (to) => this.#mayBePlain(to, start));
      visited.push(url);
    }
  }

  #mayBePlain(url: URL, start: URL): boolean {
    return isLoopbackHost(url.hostname) || url.host === start.host || this.#options.http.isInsecure(url);
  }

  #authorizerFor(base: URL): Authorizer {
    const { http, repository, findCredentials, trustedRealms, limits } = this.#options;
    // Bound to the origin: a change of scheme begins anew.
    if (this.#authorizer?.origin !== base.origin) {
      this.#authorizer = new Authorizer({
        http,
        registry: base,
        name: this.endpoint.name,
        repository,
        findCredentials,
        trustedRealms,
        requestTimeoutMs: limits.requestTimeoutMs,
      });
    }
    return this.#authorizer;
  }
}

/** True for the ways in which a server shows that it speaks the other of HTTP and HTTPS. */
function isOtherScheme(error: unknown): boolean {
  if (!HearthError.is(error)) return false;
  if (error.code === 'REGISTRY_INSECURE') return true;
  // No connection, or one that was cut before any answer.
  if (error.code === 'REGISTRY_UNAVAILABLE') return typeof error.details.reason === 'string';
  const { said, title } = error.details;
  return error.code === 'REGISTRY_RESPONSE_INVALID' && WANTS_TLS.test(`${said ?? ''} ${title ?? ''}`);
}
