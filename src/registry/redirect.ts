/** Where a redirect may lead: a registry sends its clients to storage on other hosts, and no further. */
import { HearthError } from '../errors/index.js';
import { isLinkLocalHost, isLoopbackHost } from './addresses.js';
import { redactUrl } from './redact.js';

const MAX_REDIRECTS = 5;
const MAX_LOCATION_CHARS = 16 * 1024;
const STATUSES = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return STATUSES.has(status);
}

function refused(from: URL, problem: string, to?: URL): HearthError {
  return new HearthError(
    'REDIRECT_REFUSED',
    `${from.host} redirects where hearth does not follow: ${problem}`,
    {
      hint: 'Check the address of the registry; a proxy or an attacker may be answering in its place.',
      details: { url: redactUrl(from), location: to === undefined ? null : redactUrl(to), problem },
    },
  );
}

/**
 * The next URL of a chain of redirects.
 *
 * @param visited All URLs of the chain, the first and the present one included.
 * @param mayBePlain Whether a host may be asked without encryption.
 * @throws {HearthError} `REDIRECT_REFUSED`.
 */
export function nextLocation(
  visited: readonly URL[],
  location: string | undefined,
  mayBePlain: (url: URL) => boolean,
): URL {
  const first = visited[0];
  const from = visited.at(-1);
  if (first === undefined || from === undefined) throw new HearthError('INTERNAL', 'a redirect from nowhere');
  if (location === undefined || location.length > MAX_LOCATION_CHARS || !URL.canParse(location, from.href)) {
    throw refused(from, 'it names no URL');
  }
  const to = new URL(location, from);
  to.hash = '';
  if (to.protocol !== 'https:' && to.protocol !== 'http:')
    throw refused(from, `the scheme is ${to.protocol}`, to);
  if (to.username !== '' || to.password !== '') throw refused(from, 'the URL contains user-info', to);
  if (visited.some((url) => url.href === to.href)) throw refused(from, 'it is a loop', to);
  if (visited.length > MAX_REDIRECTS) throw refused(from, `more than ${MAX_REDIRECTS} redirects`, to);
  if (to.protocol === 'http:') {
    if (visited.some((url) => url.protocol === 'https:')) throw refused(from, 'from HTTPS to plain HTTP', to);
    if (!mayBePlain(to)) throw refused(from, 'to plain HTTP', to);
  }
  if (to.hostname !== first.hostname) {
    if (isLinkLocalHost(to.hostname)) throw refused(from, 'to a link-local address', to);
    if (isLoopbackHost(to.hostname) && !isLoopbackHost(first.hostname))
      throw refused(from, 'to this machine', to);
  }
  return to;
}
