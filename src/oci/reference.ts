/**
 * References: `[registry/]repository[:tag][@digest]` as Docker reads them.
 * Source: distribution/reference v0.6.0 (grammar and the rules for familiar names).
 *
 * A parsed reference is canonical: all spellings of one image have one value and one text.
 */
import { HearthError } from '../errors/index.js';
import { type Digest, isDigest } from './digest.js';

export interface Reference {
  /** Host and, if given, port, in lower case: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string;
  /** Path in the registry: `library/debian`. */
  readonly repository: string;
  /** Absent only when there is a digest. */
  readonly tag?: string;
  /** Decides when both are given. */
  readonly digest?: Digest;
}

const DEFAULT_REGISTRY = 'docker.io';
const DEFAULT_TAG = 'latest';
const MAX_REFERENCE_CHARS = 1024;
const MAX_REPOSITORY_CHARS = 255;
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const HOST =
  /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*|\[[0-9a-f:.]{2,45}\])$/;
const IMAGE_ID = /^[0-9a-f]{64}$/;

function invalid(text: string, problem: string, hint: string): HearthError {
  const shown = text.slice(0, 160);
  return new HearthError(
    'REFERENCE_INVALID',
    `not an image reference: ${JSON.stringify(shown)}: ${problem}`,
    {
      hint,
      details: { reference: shown, problem },
    },
  );
}

const EXAMPLE_HINT = 'Write [registry/]repository[:tag], for example debian:12 or ghcr.io/owner/name:1.0.';

/**
 * Parses a reference and fills in Docker's defaults: `debian` is `docker.io/library/debian:latest`.
 *
 * @throws {HearthError} `REFERENCE_INVALID`.
 */
export function parseReference(text: string): Reference {
  if (text === '') throw invalid(text, 'it is empty', EXAMPLE_HINT);
  if (text.length > MAX_REFERENCE_CHARS) {
    throw invalid(text, `it is longer than ${MAX_REFERENCE_CHARS} characters`, EXAMPLE_HINT);
  }
  if (/[^\x21-\x7e]/.test(text))
    throw invalid(text, 'it contains a space or a character outside ASCII', EXAMPLE_HINT);
  if (text.includes('://'))
    throw invalid(text, 'it has a scheme', 'Leave out the scheme, such as docker:// or https://.');

  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(
      text,
      'what follows @ is not a digest',
      'Write @sha256: followed by 64 lower-case hexadecimal digits.',
    );
  }
  const named = at === -1 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/') && !named.endsWith(']');
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) {
    throw invalid(text, 'the tag is malformed', 'Use at most 128 letters, digits, ., _ and - in the tag.');
  }
  const { registry, repository } = splitName(text, hasTag ? named.slice(0, colon) : named);
  if (digest !== undefined) return { registry, repository, ...(tag === undefined ? {} : { tag }), digest };
  return { registry, repository, tag: tag ?? DEFAULT_TAG };
}

function splitName(text: string, name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  // Docker's rule: the first part is a registry when it could not be a repository's part. Docker also takes a bare
  // word with capitals for a host; its canonical text would be a repository then, so it is refused below.
  const isRegistry = slash !== -1 && (/[.:]/.test(first) || first.toLowerCase() === 'localhost');
  const registry = isRegistry ? parseRegistry(text, first) : DEFAULT_REGISTRY;
  let repository = isRegistry ? name.slice(slash + 1) : name;
  if (registry === DEFAULT_REGISTRY && !repository.includes('/') && repository !== '') {
    if (IMAGE_ID.test(repository)) throw invalid(text, 'it is an image id', EXAMPLE_HINT);
    repository = `library/${repository}`;
  }
  if (repository.length > MAX_REPOSITORY_CHARS) {
    throw invalid(text, `the repository is longer than ${MAX_REPOSITORY_CHARS} characters`, EXAMPLE_HINT);
  }
  if (!REPOSITORY.test(repository)) {
    const hint =
      repository === repository.toLowerCase() ? EXAMPLE_HINT : 'Write the repository in lower case.';
    throw invalid(text, 'the repository is malformed', hint);
  }
  return { registry, repository };
}

/** The canonical `host[:port]`: lower case, addresses in their shortest form, Docker Hub's old name resolved. */
function parseRegistry(text: string, domain: string): string {
  const lower = domain.toLowerCase();
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(lower);
  const host = match?.[1] ?? '';
  const port = match?.[2] === undefined ? undefined : Number(match[2]);
  const problem = 'the registry is not a host name or address with an optional port';
  if (!HOST.test(host) || host.length > 253 || (port !== undefined && (port < 1 || port > 65_535))) {
    throw invalid(text, problem, EXAMPLE_HINT);
  }
  if (host === 'index.docker.io' && port === undefined) return DEFAULT_REGISTRY;
  if (!URL.canParse(`https://${host}`)) throw invalid(text, problem, EXAMPLE_HINT);
  const { hostname } = new URL(`https://${host}`);
  return port === undefined ? hostname : `${hostname}:${port}`;
}

/** The canonical text: `docker.io/library/debian:12`, with the digest after `@` if there is one. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}
