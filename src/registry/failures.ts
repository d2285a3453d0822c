/** The errors of the registry client, and which of them another attempt may mend. */
import { HearthError } from '../errors/index.js';
import { redactUrl } from './redact.js';

const TLS_PROBLEM =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|EPROTO$|INVALID_CA|PATH_LENGTH_|HOSTNAME_MISMATCH)/;
/** OpenSSL's words for bytes that are not TLS; the code is often no more than EPROTO. */
const PLAIN_HTTP = /wrong version number|packet length too long|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/;
const NO_NAME = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'EAI_NONAME']);
const MALFORMED = /^(?:HPE_|HTTPParserError$|UND_ERR_HEADERS_OVERFLOW$|UND_ERR_RES_EXCEEDED)/;

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** The coded form of what the HTTP library threw; aborts by the caller have been dealt with before. */
export function transportError(error: unknown, url: URL): HearthError {
  // Errors of several addresses come bundled; the first one tells as much as any.
  const first = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  const reason = codeOf(first) || codeOf(error) || (first instanceof Error ? first.name : '');
  const shown = redactUrl(url);
  const details = { url: shown, reason };
  const options = { details, cause: error };
  if (/TIMEOUT|ETIMEDOUT/.test(reason) || (first instanceof Error && first.name === 'TimeoutError')) {
    return registryTimeout(url, reason === 'UND_ERR_CONNECT_TIMEOUT' ? 'to connect' : 'to answer', error);
  }
  if (PLAIN_HTTP.test(reason) || (first instanceof Error && PLAIN_HTTP.test(first.message))) {
    return new HearthError('REGISTRY_INSECURE', `${url.host} does not speak HTTPS`, {
      ...options,
      hint: `Add --insecure ${url.host} if this registry may be used without encryption.`,
    });
  }
  if (TLS_PROBLEM.test(reason)) {
    return new HearthError(
      'REGISTRY_TLS_INVALID',
      `the certificate of ${url.host} is not valid (${reason})`,
      {
        ...options,
        hint: 'Name the authority that signed it with SSL_CERT_FILE=/path/to/ca.pem, for example /etc/ssl/certs/ca-certificates.crt.',
      },
    );
  }
  if (MALFORMED.test(reason)) {
    return responseInvalid(url, `it is not valid HTTP (${reason})`, {}, error);
  }
  if (first instanceof Error && /\b407\b/.test(first.message)) {
    return new HearthError('REGISTRY_DENIED', `the proxy on the way to ${url.host} wants a password`, {
      ...options,
      hint: 'Put user and password into HTTPS_PROXY: http://user:password@proxy:3128.',
    });
  }
  const isUnknown = NO_NAME.has(reason);
  return new HearthError(
    'REGISTRY_UNAVAILABLE',
    isUnknown
      ? `the host ${url.hostname} cannot be found (${reason})`
      : `no connection to ${url.host} (${reason || 'lost'})`,
    {
      ...options,
      hint: isUnknown
        ? 'Check the spelling of the registry and the network connection.'
        : 'Check the network connection and that the registry runs, then run the same command again.',
    },
  );
}

export function registryTimeout(url: URL, what: string, cause?: unknown): HearthError {
  return new HearthError('REGISTRY_TIMEOUT', `${url.host} took too long ${what}`, {
    hint: 'Check the network connection and run the same command again; what has arrived is kept.',
    details: { url: redactUrl(url), what },
    cause,
  });
}

export function responseInvalid(
  url: URL,
  problem: string,
  details: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): HearthError {
  return new HearthError(
    'REGISTRY_RESPONSE_INVALID',
    `${url.host} gave an answer that makes no sense: ${problem}`,
    {
      hint: 'Check the address of the registry; a proxy or a login page may be answering in its place.',
      details: { url: redactUrl(url), problem, ...details },
      cause,
    },
  );
}

export interface RetryAdvice {
  readonly isWorthwhile: boolean;
  /** What the server asked for. */
  readonly afterMs?: number;
}

/** Whether the same request may succeed later. */
export function retryAdvice(error: unknown): RetryAdvice {
  if (!HearthError.is(error)) return { isWorthwhile: false };
  const { retryAfterMs, isPassing } = error.details;
  const after = typeof retryAfterMs === 'number' ? { afterMs: retryAfterMs } : {};
  switch (error.code) {
    case 'REGISTRY_UNAVAILABLE':
    case 'REGISTRY_TIMEOUT':
    case 'REGISTRY_RATE_LIMITED':
      return { isWorthwhile: true, ...after };
    default:
      return { isWorthwhile: isPassing === true, ...after };
  }
}

/** True when no server was reached at all, which seldom mends itself within seconds. */
export function isUnreachable(error: unknown): boolean {
  if (!HearthError.is(error) || error.code !== 'REGISTRY_UNAVAILABLE') return false;
  const { reason } = error.details;
  return typeof reason === 'string' && (NO_NAME.has(reason) || reason === 'ECONNREFUSED');
}
