/**
 * Authorization for one registry: what to send with a request, and what to do about a 401.
 * Sources: distribution "Token Authentication Specification" and its OAuth2 variant; RFC 7617.
 */
import { performance } from 'node:perf_hooks';
import { HearthError } from '../errors/index.js';
import { type Challenge, parseChallenges } from './challenge.js';
import { responseInvalid } from './failures.js';
import { assertNotHtml, type HttpClient, type HttpResponse, readBody, withDeadline } from './http.js';
import type { RegistryAuth } from './options.js';
import { checkRealm, checkRealmForCredentials } from './realm.js';
import { isRedirect } from './redirect.js';
import { statusError } from './status.js';

const MAX_TOKEN_BYTES = 1024 * 1024;
const DEFAULT_LIFETIME_MS = 60_000;
/** Tokens are renewed this much before they end, so that none ends on its way. */
const MARGIN_MS = 5_000;
const HEADER_VALUE = /^[\x21-\x7e]{1,65536}$/;

export interface AuthorizerOptions {
  readonly http: HttpClient;
  /** Origin that the authorization is for. */
  readonly registry: URL;
  /** What the user calls it. */
  readonly name: string;
  readonly repository: string;
  /** Looked up once, when the registry first asks. */
  readonly findCredentials: (signal?: AbortSignal) => Promise<RegistryAuth | undefined>;
  readonly trustedRealms: readonly string[];
  readonly requestTimeoutMs: number;
}

interface Authorization {
  readonly header: string;
  /** By the monotonic clock. */
  readonly expiresAtMs: number;
}

export class Authorizer {
  readonly #options: AuthorizerOptions;
  #credentials: Promise<RegistryAuth | undefined> | undefined;
  #current: Authorization | undefined;
  #renewing: Promise<void> | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  get origin(): string {
    return this.#options.registry.origin;
  }

  /** The `Authorization` header to send to the registry's origin, if one is known and not about to expire. */
  get header(): string | undefined {
    if (this.#current === undefined || this.#current.expiresAtMs <= performance.now()) return undefined;
    return this.#current.header;
  }

  /**
   * Answers a 401. Calls at the same time share one renewal.
   *
   * @param used The header that the refused request carried.
   * @throws {HearthError} `REGISTRY_UNAUTHORIZED`, `REGISTRY_REALM_REFUSED`, what the exchange throws.
   */
  async renew(response: HttpResponse, used: string | undefined, signal?: AbortSignal): Promise<void> {
    const header = this.header;
    // Somebody else has renewed it while that request was on its way.
    if (header !== undefined && header !== used) return;
    this.#renewing ??= this.#authorize(parseChallenges(response.headers('www-authenticate')), signal).finally(
      () => {
        this.#renewing = undefined;
      },
    );
    await this.#renewing;
  }

  async #authorize(challenges: readonly Challenge[], signal: AbortSignal | undefined): Promise<void> {
    this.#credentials ??= this.#options.findCredentials(signal);
    const credentials = await this.#credentials;
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    if (bearer !== undefined) {
      this.#current = await this.#fetchToken(bearer, credentials, signal);
      return;
    }
    const isBasic = challenges.some((challenge) => challenge.scheme === 'basic');
    if (!isBasic) throw this.#unauthorized('it asks for a way of logging in that hearth does not know');
    if (credentials?.kind !== 'password') throw this.#unauthorized('it wants a password and none is known');
    this.#current = { header: basicHeader(credentials), expiresAtMs: Number.POSITIVE_INFINITY };
  }

  async #fetchToken(
    challenge: Challenge,
    credentials: RegistryAuth | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Authorization> {
    const { registry } = this.#options;
    if (credentials?.kind === 'registryToken') {
      return {
        header: `Bearer ${assertToken(credentials.token, registry)}`,
        expiresAtMs: Number.POSITIVE_INFINITY,
      };
    }
    const realm = checkRealm(registry, challenge.parameters.get('realm'));
    const hasSecret = credentials?.kind === 'password' || credentials?.kind === 'identityToken';
    if (hasSecret) checkRealmForCredentials(registry, realm, this.#options.trustedRealms);
    return withDeadline(realm, this.#options.requestTimeoutMs, signal, async (bounded) => {
      const response = await this.#askRealm(realm, challenge, credentials, bounded);
      return this.#takeToken(realm, response, hasSecret);
    });
  }

  async #takeToken(realm: URL, response: HttpResponse, hasSecret: boolean): Promise<Authorization> {
    if (isRedirect(response.status)) {
      response.discard();
      throw responseInvalid(realm, 'a token server must not redirect', { status: response.status });
    }
    if (response.status === 401 || response.status === 403) {
      response.discard();
      throw this.#unauthorized(
        hasSecret ? 'user name or password is wrong' : 'it gives nothing without logging in',
      );
    }
    if (response.status !== 200) throw await statusError(response, 'token');
    return readToken(response);
  }

  async #askRealm(
    realm: URL,
    challenge: Challenge,
    credentials: RegistryAuth | undefined,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const { http, repository } = this.#options;
    const service = challenge.parameters.get('service');
    const scopes = (challenge.parameters.get('scope') ?? `repository:${repository}:pull`)
      .split(' ')
      .filter(Boolean);
    if (credentials?.kind === 'identityToken') {
      const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'hearth' });
      if (service !== undefined) form.set('service', service);
      form.set('scope', scopes.join(' '));
      form.set('refresh_token', credentials.token);
      const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
      return http.send({ url: realm, method: 'POST', headers, body: form.toString(), signal });
    }
    const url = new URL(realm.href);
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const headers: Record<string, string> = { accept: 'application/json' };
    if (credentials?.kind === 'password') {
      url.searchParams.set('account', credentials.username);
      headers.authorization = basicHeader(credentials);
    }
    return http.send({ url, method: 'GET', headers, signal });
  }

  #unauthorized(problem: string): HearthError {
    const { name, repository } = this.#options;
    return new HearthError(
      'REGISTRY_UNAUTHORIZED',
      `${name} does not let us read ${repository}: ${problem}`,
      {
        hint: `Check the spelling of the image, or log in with \`docker login ${name}\` or \`podman login ${name}\`.`,
        details: { registry: name, repository, problem },
      },
    );
  }
}

function basicHeader(credentials: { readonly username: string; readonly password: string }): string {
  const { username, password } = credentials;
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

function assertToken(token: unknown, url: URL): string {
  if (typeof token === 'string' && HEADER_VALUE.test(token)) return token;
  throw responseInvalid(url, 'it gave no usable token');
}

async function readToken(response: HttpResponse): Promise<Authorization> {
  const { url } = response;
  const body = await readBody(response, MAX_TOKEN_BYTES, (sizeBytes) =>
    responseInvalid(url, `a token of more than ${MAX_TOKEN_BYTES} bytes`, {
      sizeBytes,
      limitBytes: MAX_TOKEN_BYTES,
    }),
  );
  assertNotHtml(response, body);
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString('utf8'));
  } catch {
    throw responseInvalid(url, 'the token is not in JSON');
  }
  if (typeof answer !== 'object' || answer === null)
    throw responseInvalid(url, 'the token is not in a JSON object');
  const fields = answer as Readonly<Record<string, unknown>>;
  const token = assertToken(fields.token || fields.access_token, url);
  const seconds = fields.expires_in;
  const lifetimeMs =
    typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0
      ? seconds * 1000
      : DEFAULT_LIFETIME_MS;
  const usableMs = Math.max(lifetimeMs - MARGIN_MS, lifetimeMs / 2);
  return { header: `Bearer ${token}`, expiresAtMs: performance.now() + usableMs };
}
