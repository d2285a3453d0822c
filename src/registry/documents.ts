/** Manifests and other small documents, verified: from the store when they are there, else from the registry. */
import { HearthError } from '../errors/index.js';
import {
  assertManifestSize,
  type BlobStore,
  bareMediaType,
  type Descriptor,
  type Digest,
  type Document,
  digestAlgorithm,
  digestOf,
  formatReference,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPES,
  parseDocument,
  type Reference,
} from '../oci/index.js';
import { responseInvalid } from './failures.js';
import { assertNotHtml, type HttpResponse, readBody } from './http.js';
import type { Session } from './session.js';
import type { Sources } from './sources.js';

const ACCEPT = [
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerIndex,
  MEDIA_TYPES.dockerManifest,
].join(', ');

/** What a reference points at. */
interface TopDocument {
  readonly descriptor: Descriptor;
  readonly document: Document;
}

export interface ResolvedDocument extends TopDocument {
  /** Resolves when the store knows what the name is bound to. Others need not wait for it, but who ends should. */
  readonly bound: Promise<void>;
}

interface FetchedDocument extends TopDocument {
  readonly bytes: Uint8Array;
}

export interface DocumentOptions {
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Resolves a reference to its document. A digest that is in the store needs no network; a tag is asked for with a
 * HEAD when the store knows what it was bound to, and fetched only when it has moved.
 *
 * @throws {HearthError} `OFFLINE` when only the network would know, `MANIFEST_UNKNOWN`, `DIGEST_MISMATCH`, ….
 */
export async function resolveDocument(
  reference: Reference,
  store: BlobStore | undefined,
  sources: Sources,
  options: DocumentOptions,
): Promise<ResolvedDocument> {
  const { digest } = reference;
  const nothing = Promise.resolve();
  if (digest !== undefined) {
    const stored = await readStored(store, digest);
    const top = stored ?? (await fetchAndStore(digest, digest, reference, store, sources, options));
    return { ...top, bound: nothing };
  }
  const name = formatReference(reference);
  const ref = await store?.findRef(name);
  const known = ref === undefined ? undefined : await readStored(store, ref.digest, ref.mediaType);
  if (options.offline === true) {
    if (known !== undefined) return { ...known, bound: nothing };
    throw offline(name, ref?.digest ?? name);
  }
  const tag = reference.tag ?? 'latest';
  if (known !== undefined && (await headDigest(tag, sources, options)) === known.descriptor.digest) {
    return { ...known, bound: nothing };
  }
  const top = await fetchAndStore(tag, undefined, reference, store, sources, options);
  const bound = store?.setRef(name, top.descriptor) ?? nothing;
  bound.catch(() => {
    // Reaches whoever awaits it.
  });
  return { ...top, bound };
}

/** Reads one document that another one refers to. */
export async function readDocument(
  descriptor: Descriptor,
  reference: Reference,
  store: BlobStore | undefined,
  sources: Sources,
  options: DocumentOptions,
): Promise<Uint8Array> {
  const { digest, sizeBytes } = descriptor;
  assertManifestSize(sizeBytes, digest);
  const stored = await store?.read(digest, MAX_MANIFEST_BYTES);
  const bytes =
    stored ??
    (await fetchAndStore(digest, digest, reference, store, sources, options, descriptor.mediaType)).bytes;
  if (bytes.byteLength !== sizeBytes) {
    throw new HearthError(
      'SIZE_MISMATCH',
      `${digest} should have ${sizeBytes} bytes, got ${bytes.byteLength}`,
      {
        hint: 'Rebuild or push the image again; its index is wrong.',
        details: { digest, expectedBytes: sizeBytes, actualBytes: bytes.byteLength },
      },
    );
  }
  return bytes;
}

export function offline(what: string, missing: Digest | string): HearthError {
  return new HearthError('OFFLINE', `${what} is not complete on this machine: ${missing} is missing`, {
    hint: 'Run the same command once without --offline.',
    details: { reference: what, missing },
  });
}

async function readStored(
  store: BlobStore | undefined,
  digest: Digest,
  mediaType?: string,
): Promise<FetchedDocument | undefined> {
  const bytes = await store?.read(digest, MAX_MANIFEST_BYTES);
  return bytes === undefined ? undefined : describe(bytes, digest, mediaType);
}

function describe(bytes: Uint8Array, digest: Digest, mediaType?: string): FetchedDocument {
  const document = parseDocument(bytes, mediaType);
  const { mediaType: type } = document.kind === 'index' ? document.index : document.manifest;
  return {
    bytes,
    document,
    descriptor: { mediaType: type, digest, sizeBytes: bytes.byteLength, annotations: {} },
  };
}

async function headDigest(
  tag: string,
  sources: Sources,
  { signal }: DocumentOptions,
): Promise<Digest | undefined> {
  return sources.any(signal, async (session, bounded) => {
    try {
      const response = await session.request({
        method: 'HEAD',
        path: `manifests/${tag}`,
        headers: { accept: ACCEPT },
        wanted: 'manifest',
        signal: bounded,
      });
      response.discard();
      const digest = response.header('docker-content-digest');
      return isDigest(digest) ? digest : undefined;
    } catch (error) {
      // Some proxies know only GET.
      if (HearthError.is(error) && error.code === 'REGISTRY_RESPONSE_INVALID') return undefined;
      throw error;
    }
  });
}

async function fetchAndStore(
  tagOrDigest: string,
  expected: Digest | undefined,
  reference: Reference,
  store: BlobStore | undefined,
  sources: Sources,
  options: DocumentOptions,
  mediaType?: string,
): Promise<FetchedDocument> {
  if (options.offline === true) throw offline(formatReference(reference), tagOrDigest);
  const fetched = await sources.any(options.signal, (session, signal) =>
    fetchDocument(session, tagOrDigest, expected, mediaType, signal),
  );
  await store?.write(fetched.descriptor.digest, fetched.bytes);
  return fetched;
}

async function fetchDocument(
  session: Session,
  tagOrDigest: string,
  expected: Digest | undefined,
  mediaType: string | undefined,
  signal: AbortSignal,
): Promise<FetchedDocument> {
  const response = await session.request({
    method: 'GET',
    path: `manifests/${tagOrDigest}`,
    headers: { accept: ACCEPT },
    wanted: 'manifest',
    signal,
  });
  const bytes = await readBody(response, MAX_MANIFEST_BYTES, (sizeBytes) => {
    try {
      assertManifestSize(sizeBytes, `the manifest ${tagOrDigest}`);
    } catch (error) {
      if (HearthError.is(error)) return error;
    }
    return responseInvalid(response.url, 'the manifest is too large');
  });
  assertNotHtml(response, bytes);
  if (response.header('content-encoding') !== undefined) {
    throw responseInvalid(response.url, 'the manifest is encoded although that was not asked for');
  }
  const stated = response.header('docker-content-digest');
  const wanted = expected ?? (isDigest(stated) ? stated : undefined);
  const actual = digestOf(bytes, wanted === undefined ? 'sha256' : digestAlgorithm(wanted));
  if (wanted !== undefined && actual !== wanted) throw manifestMismatch(wanted, actual, bytes.byteLength);
  if (isDigest(stated) && expected !== undefined && stated !== expected) {
    // The bytes are right, the header lies or uses another algorithm: only the former is wrong.
    if (digestAlgorithm(stated) === digestAlgorithm(expected))
      throw manifestMismatch(expected, stated, bytes.byteLength);
  }
  return describe(bytes, actual, mediaType ?? contentType(response));
}

/** The Content-Type, where it says anything about manifests; some servers say `text/plain` to everything. */
function contentType(response: HttpResponse): string | undefined {
  const bare = bareMediaType(response.header('content-type') ?? '');
  const isTelling =
    isIndexMediaType(bare) || isManifestMediaType(bare) || bare.startsWith('application/vnd.docker.');
  return isTelling ? bare : undefined;
}

function manifestMismatch(expected: Digest, actual: Digest, sizeBytes: number): HearthError {
  return new HearthError(
    'DIGEST_MISMATCH',
    `the manifest's digest does not match after ${sizeBytes} bytes: expected ${expected}, got ${actual}`,
    {
      hint: 'Pull the image again; if it repeats, the registry or a proxy is serving altered content.',
      details: { expected, actual, sizeBytes },
    },
  );
}
