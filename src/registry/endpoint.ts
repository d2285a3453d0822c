/** Where a repository is asked for: mirrors first, then the registry itself. */
import { HearthError } from '../errors/index.js';
import type { Reference } from '../oci/index.js';
import { isLoopbackHost } from './addresses.js';
import type { RegistryOptions } from './options.js';
import { printable } from './redact.js';

export interface Endpoint {
  /** The name that credentials are kept under. */
  readonly name: string;
  /** Base URLs to try, best first, without a slash at the end: `https://registry-1.docker.io`. */
  readonly bases: readonly URL[];
  readonly isMirror: boolean;
}

const DOCKER_HUB = 'docker.io';
const DOCKER_HUB_HOST = 'registry-1.docker.io';

/**
 * @throws {HearthError} `CONFIG_INVALID` for a mirror that is not a host or URL.
 */
export function endpointsOf(reference: Reference, options: RegistryOptions): readonly Endpoint[] {
  const mirrors = options.mirrors?.[reference.registry] ?? [];
  const insecure = new Set((options.insecure ?? []).map((host) => host.toLowerCase()));
  return [
    ...mirrors.map((mirror) => mirrorEndpoint(mirror, insecure)),
    registryEndpoint(reference.registry, insecure),
  ];
}

function registryEndpoint(registry: string, insecure: ReadonlySet<string>): Endpoint {
  const host = registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
  return { name: registry, bases: basesOf(host, '', insecure), isMirror: false };
}

function mirrorEndpoint(mirror: string, insecure: ReadonlySet<string>): Endpoint {
  const text = mirror.includes('://') ? mirror : `https://${mirror}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.protocol === 'http:';
  const hasMore = url !== undefined && `${url.username}${url.password}${url.search}${url.hash}` !== '';
  if (url === undefined || hasMore || (url.protocol !== 'https:' && !isPlain)) {
    throw new HearthError(
      'CONFIG_INVALID',
      hasMore ? 'a mirror has more than host and path' : `not a mirror: ${printable(mirror, 160)}`,
      {
        hint: 'Write a mirror as host, host:port or https://host/path.',
        details: { mirror: hasMore ? null : mirror.slice(0, 160) },
      },
    );
  }
  const bases = basesOf(url.host, url.pathname.replace(/\/+$/, ''), insecure);
  const isBound = mirror.includes('://') && !isPlain;
  return {
    name: url.host,
    bases: bases.filter((base) => !isBound || base.protocol === 'https:'),
    isMirror: true,
  };
}

/**
 * HTTPS alone, unless the host is this machine, where registries seldom have certificates, or the user said that
 * it may be insecure.
 */
function basesOf(host: string, path: string, insecure: ReadonlySet<string>): readonly URL[] {
  const https = new URL(`https://${host}${path}`);
  const http = new URL(`http://${host}${path}`);
  if (isLoopbackHost(https.hostname)) return [http, https];
  if (insecure.has(host) || insecure.has(https.hostname)) return [https, http];
  return [https];
}
