/**
 * Token servers: a registry names the URL that hands out its tokens (`realm`), and so decides where this host
 * connects to and where credentials go. These rules keep it honest.
 */
import { HearthError } from '../errors/index.js';
import { isInternalHost, isLoopbackHost } from './addresses.js';
import { redactUrl } from './redact.js';

/** Second-level labels under which others can register (`co.uk`, `com.au`). */
const PUBLIC_LABELS = new Set(['co', 'com', 'net', 'org', 'gov', 'edu', 'ac', 'or', 'ne', 'go']);
const MAX_REALM_CHARS = 2048;

function refused(registry: URL, realm: string, problem: string, hint: string): HearthError {
  return new HearthError(
    'REGISTRY_REALM_REFUSED',
    `${registry.host} names a token server that is not to be trusted: ${problem}`,
    { hint, details: { registry: registry.host, realm, problem } },
  );
}

const HINT = 'Check the address of the registry; a proxy or an attacker may be answering in its place.';

/**
 * Checks the realm of a challenge before anything connects to it.
 *
 * @throws {HearthError} `REGISTRY_REALM_REFUSED`.
 */
export function checkRealm(registry: URL, realm: string | undefined): URL {
  if (realm === undefined || realm.length > MAX_REALM_CHARS || !URL.canParse(realm)) {
    throw refused(registry, '', 'it is not a URL', HINT);
  }
  const url = new URL(realm);
  const refuse = (problem: string): HearthError => refused(registry, redactUrl(url), problem, HINT);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse(`its scheme is ${url.protocol}`);
  if (url.username !== '' || url.password !== '') throw refuse('it contains user-info');
  if (url.protocol === 'http:' && registry.protocol === 'https:') throw refuse('it is plain HTTP');
  const isSameHost = url.hostname === registry.hostname;
  if (!isSameHost && isInternalHost(url.hostname)) throw refuse('it is a private address');
  if (url.protocol === 'http:' && !isSameHost && !isLoopbackHost(url.hostname))
    throw refuse('it is plain HTTP');
  url.hash = '';
  return url;
}

/**
 * Checks that credentials for `registry` may go to a realm that {@link checkRealm} let pass: one of the same host
 * or domain (`auth.docker.io` for `registry-1.docker.io`), or one of the user's own choice.
 *
 * @throws {HearthError} `REGISTRY_REALM_REFUSED`.
 */
export function checkRealmForCredentials(registry: URL, realm: URL, trusted: readonly string[]): void {
  if (
    realm.hostname === registry.hostname ||
    trusted.includes(realm.hostname) ||
    trusted.includes(realm.host)
  ) {
    return;
  }
  if (haveSameDomain(realm.hostname, registry.hostname)) return;
  throw refused(
    registry,
    redactUrl(realm),
    `credentials would go to another domain, ${realm.hostname}`,
    `Add ${realm.hostname} to the trusted token servers of ${registry.host} if it belongs to it, or log out to pull without credentials.`,
  );
}

function haveSameDomain(a: string, b: string): boolean {
  if (/[:\d]$/.test(a) || /[:\d]$/.test(b) || a.startsWith('[')) return false;
  const left = a.split('.').reverse();
  const right = b.split('.').reverse();
  let shared = 0;
  while (shared < left.length && shared < right.length && left[shared] === right[shared]) shared += 1;
  const isPublicPair = left[0]?.length === 2 && PUBLIC_LABELS.has(left[1] ?? '');
  return shared >= (isPublicPair ? 3 : 2);
}
