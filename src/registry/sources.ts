/** All endpoints of one reference, tried in order, each with retries. */
import type { Reference } from '../oci/index.js';
import { findCredentials } from './credentials.js';
import { endpointsOf } from './endpoint.js';
import { HttpClient, withDeadline } from './http.js';
import { DEFAULT_LIMITS, type RegistryLimits, type RegistryOptions } from './options.js';
import { Retries } from './retry.js';
import { Session } from './session.js';

export class Sources implements AsyncDisposable {
  readonly limits: RegistryLimits;
  readonly sessions: readonly Session[];
  readonly #http: HttpClient;

  constructor(reference: Reference, options: RegistryOptions) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#http = new HttpClient(options, this.limits);
    const env = options.env ?? process.env;
    const { registry, repository } = reference;
    this.sessions = endpointsOf(reference, options).map(
      (endpoint) =>
        new Session({
          http: this.#http,
          endpoint,
          repository,
          limits: this.limits,
          trustedRealms: options.trustedRealms?.[endpoint.name] ?? [],
          findCredentials: async (signal) => {
            if (!endpoint.isMirror && options.auth !== undefined) return options.auth;
            return findCredentials(endpoint.isMirror ? endpoint.name : registry, repository, env, signal);
          },
        }),
    );
  }

  /**
   * Runs `attempt` at the first endpoint that it succeeds at. What fails at a mirror is tried at the next endpoint,
   * whatever the reason; the registry's own failure is the one that counts.
   *
   * @param attempt Gets a signal that also ends a document that takes too long.
   */
  async any<T>(
    signal: AbortSignal | undefined,
    attempt: (session: Session, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    for (const session of this.sessions) {
      try {
        return await this.#withRetries(session, signal, attempt);
      } catch (error) {
        signal?.throwIfAborted();
        if (!session.endpoint.isMirror) throw error;
      }
    }
    throw new RangeError('a reference has at least one endpoint');
  }

  async #withRetries<T>(
    session: Session,
    signal: AbortSignal | undefined,
    attempt: (session: Session, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const retries = new Retries(this.limits, this.limits.maxAttempts, signal, session.hasAnswered);
    for (;;) {
      try {
        return await withDeadline(session.url, this.limits.requestTimeoutMs, signal, (bounded) =>
          attempt(session, bounded),
        );
      } catch (error) {
        signal?.throwIfAborted();
        await retries.pauseOrThrow(error);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http.close();
  }
}
