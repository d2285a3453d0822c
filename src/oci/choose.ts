/**
 * From the document that a name points at to the manifest of one platform, through indexes of any nesting.
 * Where documents come from is the caller's affair.
 */
import { HearthError } from '../errors/index.js';
import { parseImageConfig } from './config.js';
import type { Descriptor } from './descriptor.js';
import type { Digest } from './digest.js';
import { configPlatform, configSuits } from './image-parts.js';
import {
  assertManifestSize,
  type Document,
  type Manifest,
  parseDocument,
  platformCandidates,
} from './manifest.js';
import { MEDIA_TYPES } from './media-types.js';
import { formatPlatform, type Platform } from './platform.js';

/** Reads verified bytes: of a manifest or index, and of any other blob. */
export interface DocumentReader {
  readDocument(descriptor: Descriptor): Promise<Uint8Array>;
  readConfig(descriptor: Descriptor): Promise<Uint8Array>;
}

export interface ChosenManifest {
  /** The outermost index; absent when the name points at a manifest. */
  readonly indexDigest?: Digest;
  readonly manifestDigest: Digest;
  readonly manifest: Manifest;
  /** As the index says, else the config, else the one asked for. */
  readonly platform: Platform;
}

const MAX_DEPTH = 8;
/** Honest indexes need one or two; an index of thousands of entries without a platform is a trap. */
const MAX_DOCUMENTS = 64;

interface Walk {
  readonly wanted: Platform;
  readonly reader: DocumentReader;
  readonly offered: Set<string>;
  documentCount: number;
}

/**
 * Chooses the manifest for `wanted`.
 *
 * @param top The document that the name points at, and its digest.
 * @throws {HearthError} `PLATFORM_NOT_FOUND`; what the parsers and the reader throw.
 */
export async function chooseManifest(
  top: { readonly document: Document; readonly digest: Digest },
  wanted: Platform,
  reader: DocumentReader,
): Promise<ChosenManifest> {
  const walk: Walk = { wanted, reader, offered: new Set(), documentCount: 0 };
  const chosen = await choose(top.document, top.digest, undefined, walk, 0);
  if (chosen !== undefined) {
    return top.document.kind === 'index' ? { indexDigest: top.digest, ...chosen } : chosen;
  }
  const offered = [...walk.offered].sort();
  const platform = formatPlatform(wanted);
  throw new HearthError(
    'PLATFORM_NOT_FOUND',
    `there is no image for ${platform}; there is ${offered.length === 0 ? 'none at all' : offered.join(', ')}`,
    {
      hint: 'Use another tag, or an image that was built for this platform.',
      details: { platform, offered },
    },
  );
}

async function choose(
  document: Document,
  digest: Digest,
  stated: Platform | undefined,
  walk: Walk,
  depth: number,
): Promise<ChosenManifest | undefined> {
  if (document.kind === 'manifest') {
    const platform = stated ?? (await platformOf(document.manifest, walk));
    return platform === undefined
      ? undefined
      : { manifestDigest: digest, manifest: document.manifest, platform };
  }
  for (const { platform } of document.index.manifests) {
    if (platform !== undefined && platform.os !== 'unknown') walk.offered.add(formatPlatform(platform));
  }
  if (depth >= MAX_DEPTH) throw tooDeep(`indexes are nested deeper than ${MAX_DEPTH} levels`);
  for (const entry of platformCandidates(document.index, walk.wanted)) {
    walk.documentCount += 1;
    if (walk.documentCount > MAX_DOCUMENTS)
      throw tooDeep(`more than ${MAX_DOCUMENTS} entries state no platform`);
    const child = parseDocument(await walk.reader.readDocument(entry), entry.mediaType);
    const chosen = await choose(child, entry.digest, entry.platform ?? stated, walk, depth + 1);
    if (chosen !== undefined) return chosen;
  }
  return undefined;
}

/** The platform of a manifest that no index describes; undefined when it is another than the one asked for. */
async function platformOf({ config }: Manifest, walk: Walk): Promise<Platform | undefined> {
  // An artifact's config says nothing about platforms.
  if (config.mediaType !== MEDIA_TYPES.ociConfig && config.mediaType !== MEDIA_TYPES.dockerConfig) {
    return walk.wanted;
  }
  assertManifestSize(config.sizeBytes, 'the image config');
  const parsed = parseImageConfig(await walk.reader.readConfig(config));
  const platform = configPlatform(parsed);
  if (configSuits(parsed, walk.wanted)) return platform ?? walk.wanted;
  if (platform !== undefined) walk.offered.add(formatPlatform(platform));
  return undefined;
}

function tooDeep(problem: string): HearthError {
  return new HearthError('MANIFEST_INVALID', `not a valid image index: ${problem}`, {
    hint: 'Rebuild or push the image again with a current builder.',
    details: { problem },
  });
}
