/**
 * Manifests and indexes: what a tag points at. Sources: image-spec v1.1.1, manifest.md and image-index.md;
 * distribution "Image Manifest V 2, Schema 2". Schema 1 is refused.
 */
import { HearthError } from '../errors/index.js';
import { type Descriptor, readDescriptor } from './descriptor.js';
import {
  asArray,
  asObject,
  asOptionalString,
  asStringMap,
  type JsonObject,
  parseJsonObject,
} from './json.js';
import {
  bareMediaType,
  isIndexMediaType,
  isManifestMediaType,
  isSchema1MediaType,
  MEDIA_TYPES,
} from './media-types.js';
import { type Platform, platformDistance } from './platform.js';

export interface Manifest {
  readonly mediaType: string;
  /** What the manifest is of, when it is not an image. */
  readonly artifactType?: string;
  readonly config: Descriptor;
  /** Base layer first. */
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export type Document =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | { readonly kind: 'index'; readonly index: ImageIndex };

/** Largest manifest or index that is read, in bytes (8 MiB). */
export const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

const MAX_LAYERS = 1000;
const MAX_MANIFESTS = 4096;
const MAX_NAME_CHARS = 255;
const MAX_ANNOTATIONS = 1000;
const MAX_TEXT_CHARS = 64 * 1024;

function invalid(problem: string): HearthError {
  return new HearthError('MANIFEST_INVALID', `not a valid image manifest: ${problem}`, {
    hint: 'Rebuild or push the image again with a current builder; the registry holds a malformed document.',
    details: { problem },
  });
}

function unsupported(mediaType: string): HearthError {
  const isSchema1 = isSchema1MediaType(mediaType);
  return new HearthError('MEDIA_TYPE_UNSUPPORTED', `not an image manifest or index: ${mediaType}`, {
    hint: isSchema1
      ? 'Push the image again with a current Docker or skopeo: schema 1 manifests cannot be verified.'
      : 'Check that the reference names a container image.',
    details: { mediaType },
  });
}

/** @throws {HearthError} `MANIFEST_TOO_LARGE` above {@link MAX_MANIFEST_BYTES}. */
export function assertManifestSize(sizeBytes: number, what: string): void {
  if (sizeBytes <= MAX_MANIFEST_BYTES) return;
  throw new HearthError(
    'MANIFEST_TOO_LARGE',
    `${what} has ${sizeBytes} bytes, at most ${MAX_MANIFEST_BYTES} are read`,
    {
      hint: 'Check that the reference names a container image; no honest manifest is that large.',
      details: { what, sizeBytes, limitBytes: MAX_MANIFEST_BYTES },
    },
  );
}

/**
 * Parses a manifest or an index. The caller has checked the digest of `bytes`.
 *
 * A document that could be read as both, or whose own `mediaType` contradicts its fields or `mediaType`, is
 * refused, because two readers could take it for two things (CVE-2021-41190).
 *
 * @param mediaType What the descriptor or the Content-Type header says; left out when neither is known.
 * @throws {HearthError} `MANIFEST_TOO_LARGE`, `MANIFEST_INVALID`, `MEDIA_TYPE_UNSUPPORTED`.
 */
export function parseDocument(bytes: Uint8Array, mediaType?: string): Document {
  assertManifestSize(bytes.byteLength, 'the manifest');
  const object = parseJsonObject(bytes, invalid);
  const stated = asOptionalString(object.mediaType, 'mediaType', MAX_NAME_CHARS, invalid);
  const inside = stated === undefined || stated === '' ? undefined : bareMediaType(stated);
  const outside = mediaType === undefined ? undefined : bareMediaType(mediaType);

  if (object.schemaVersion === 1 || 'fsLayers' in object) {
    throw unsupported('application/vnd.docker.distribution.manifest.v1+json');
  }
  if (object.schemaVersion !== 2) throw invalid('schemaVersion is not 2');
  for (const known of [inside, outside]) {
    if (known !== undefined && !isIndexMediaType(known) && !isManifestMediaType(known))
      throw unsupported(known);
  }
  if (inside !== undefined && outside !== undefined && inside !== outside) {
    throw invalid(`mediaType is ${inside}, but it was announced as ${outside}`);
  }
  const looksLikeIndex = 'manifests' in object;
  const looksLikeManifest = 'config' in object || 'layers' in object;
  const type = inside ?? outside ?? (looksLikeIndex ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.ociManifest);
  if (isIndexMediaType(type)) {
    if (looksLikeManifest) throw invalid(`${type} must not have config or layers`);
    return { kind: 'index', index: readIndex(object, type) };
  }
  if (looksLikeIndex) throw invalid(`${type} must not have manifests`);
  return { kind: 'manifest', manifest: readManifest(object, type) };
}

function readAnnotations(object: JsonObject): Readonly<Record<string, string>> {
  return asStringMap(object.annotations, 'annotations', MAX_ANNOTATIONS, MAX_TEXT_CHARS, invalid);
}

function readManifest(object: JsonObject, mediaType: string): Manifest {
  const artifactType = asOptionalString(object.artifactType, 'artifactType', MAX_NAME_CHARS, invalid);
  asObject(object.config, 'config', invalid);
  if (!Array.isArray(object.layers)) throw invalid('layers is not an array');
  return {
    mediaType,
    config: readDescriptor(object.config, 'config', invalid),
    layers: asArray(object.layers, 'layers', MAX_LAYERS, invalid).map((layer, index) =>
      readDescriptor(layer, `layers[${index}]`, invalid),
    ),
    annotations: readAnnotations(object),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

function readIndex(object: JsonObject, mediaType: string): ImageIndex {
  if (!Array.isArray(object.manifests)) throw invalid('manifests is not an array');
  const manifests = asArray(object.manifests, 'manifests', MAX_MANIFESTS, invalid);
  return {
    mediaType,
    manifests: manifests.map((entry, index) => readDescriptor(entry, `manifests[${index}]`, invalid)),
    annotations: readAnnotations(object),
  };
}

/**
 * The entries of an index that may serve `platform`, best first: those that name it, nearest variant first,
 * then nested indexes and manifests that name no platform, whose content has to be looked at.
 */
export function platformCandidates(index: ImageIndex, platform: Platform): readonly Descriptor[] {
  const named: Array<{ entry: Descriptor; distance: number }> = [];
  const unnamed: Descriptor[] = [];
  for (const entry of index.manifests) {
    if (!isIndexMediaType(entry.mediaType) && !isManifestMediaType(entry.mediaType)) continue;
    if (entry.platform === undefined) unnamed.push(entry);
    else {
      const distance = platformDistance(platform, entry.platform);
      if (distance !== undefined) named.push({ entry, distance });
    }
  }
  // Array.prototype.sort is stable: of two equal entries the first one of the index wins.
  named.sort((a, b) => a.distance - b.distance);
  return [...named.map(({ entry }) => entry), ...unnamed];
}
