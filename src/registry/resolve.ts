/** Resolving a reference without pulling anything. */
import { HearthError } from '../errors/index.js';
import {
  type BlobStore,
  type ChosenManifest,
  chooseManifest,
  DEFAULT_PLATFORM,
  type Descriptor,
  digestAlgorithm,
  digestOf,
  formatReference,
  type Platform,
  parseReference,
  type Reference,
} from '../oci/index.js';
import { offline, readDocument, resolveDocument } from './documents.js';
import { readBody } from './http.js';
import type { RegistryOptions } from './options.js';
import type { Session } from './session.js';
import { Sources } from './sources.js';

export interface ResolveOptions extends RegistryOptions {
  /** Asked first, and filled with the documents that were fetched. */
  readonly blobs?: BlobStore;
  /** Default linux/amd64. */
  readonly platform?: Platform;
  /** Uses only what is in the store. Default false. */
  readonly offline?: boolean;
}

/**
 * Resolves a reference to the manifest of one platform.
 *
 * @throws {HearthError} `REFERENCE_INVALID`, `PLATFORM_NOT_FOUND` and the registry's codes.
 */
export async function resolveReference(
  reference: string | Reference,
  options: ResolveOptions = {},
): Promise<ChosenManifest> {
  const parsed = typeof reference === 'string' ? parseReference(reference) : reference;
  const { blobs, platform = DEFAULT_PLATFORM, signal } = options;
  await using sources = new Sources(parsed, options);
  const { descriptor, document, bound } = await resolveDocument(parsed, blobs, sources, options);
  const chosen = await chooseManifest({ document, digest: descriptor.digest }, platform, {
    readDocument: (child) => readDocument(child, parsed, blobs, sources, options),
    readConfig: async (config) => {
      const stored = await blobs?.read(config.digest, config.sizeBytes);
      if (stored !== undefined) return stored;
      if (options.offline === true) throw offline(formatReference(parsed), config.digest);
      return sources.any(signal, (session, bounded) => fetchSmallBlob(session, config, bounded));
    },
  });
  await bound;
  return chosen;
}

async function fetchSmallBlob(session: Session, blob: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
  const { digest, sizeBytes } = blob;
  const response = await session.request({ method: 'GET', path: `blobs/${digest}`, wanted: 'blob', signal });
  const wrongSize = (actualBytes: number): HearthError =>
    new HearthError('SIZE_MISMATCH', `${digest} should have ${sizeBytes} bytes, got ${actualBytes}`, {
      hint: 'Try again; if it repeats, the image or the registry is broken.',
      details: { digest, expectedBytes: sizeBytes, actualBytes },
    });
  const bytes = await readBody(response, sizeBytes, wrongSize);
  if (bytes.byteLength !== sizeBytes) throw wrongSize(bytes.byteLength);
  const actual = digestOf(bytes, digestAlgorithm(digest));
  if (actual === digest) return bytes;
  throw new HearthError('DIGEST_MISMATCH', `digest mismatch: expected ${digest}, got ${actual}`, {
    hint: 'Try again; if it repeats, the registry or a proxy is serving altered content.',
    details: { expected: digest, actual, sizeBytes },
  });
}
