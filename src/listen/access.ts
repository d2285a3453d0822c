/**
 * Who may ask over TCP: whoever brings the token, and no web page. A page that has made a name of its own point
 * here (DNS rebinding) is known by its Host header; one that asks across origins by its Origin header.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { HearthError } from '../errors/index.js';

/** @throws {HearthError} `DAEMON_HOST_REFUSED`, `DAEMON_UNAUTHORIZED`. */
export type Guard = (request: Pick<IncomingMessage, 'headers'>) => void;

export function tokenGuard(token: string): Guard {
  const expected = digest(token);
  return ({ headers }) => {
    assertHost(headers.host ?? '');
    if (headers.origin !== undefined) throw fromWebPage();
    const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';
    // Digests have one length: neither the length nor the beginning of the token can be found out by time.
    if (!timingSafeEqual(digest(given), expected)) throw unauthorized();
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** A name other than `localhost` is nothing that a server here has. */
function assertHost(host: string): void {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(host) ?? [];
  const name = bracketed ?? plain ?? '';
  if (bracketed === undefined ? name.toLowerCase() === 'localhost' || isIP(name) === 4 : isIP(name) === 6)
    return;
  throw new HearthError(
    'DAEMON_HOST_REFUSED',
    `no server here is called ${JSON.stringify(host.slice(0, 64))}`,
    {
      hint: 'Ask by its IP address, or as localhost.',
      details: { host: host.slice(0, 64) },
    },
  );
}

function fromWebPage(): HearthError {
  return new HearthError('DAEMON_HOST_REFUSED', 'web pages may not ask here', {
    hint: 'Ask from a program; there is no CORS.',
  });
}

function unauthorized(): HearthError {
  return new HearthError('DAEMON_UNAUTHORIZED', 'the request has no valid token', {
    hint: 'Send the header `authorization: Bearer TOKEN` with the content of the token file.',
  });
}
