export type { BlobKey, BlobStore, Ingest, Lease } from './blob-store.js';
export { type ChosenManifest, chooseManifest, type DocumentReader } from './choose.js';
export { type ImageConfig, parseImageConfig } from './config.js';
export { type Descriptor, encodeDescriptor, readDescriptor } from './descriptor.js';
export {
  type Digest,
  type DigestAlgorithm,
  digestAlgorithm,
  digestHex,
  digestOf,
  digestOfHash,
  isDigest,
  parseDigest,
} from './digest.js';
export type { Image, ImageLayer } from './image.js';
export { assertConfigFits, assertImageManifest, configPlatform, configSuits } from './image-parts.js';
export {
  assertManifestSize,
  type Document,
  type ImageIndex,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseDocument,
  platformCandidates,
} from './manifest.js';
export {
  bareMediaType,
  isIndexMediaType,
  isManifestMediaType,
  type LayerCompression,
  layerCompression,
  MEDIA_TYPES,
} from './media-types.js';
export {
  DEFAULT_PLATFORM,
  formatPlatform,
  type Platform,
  parsePlatform,
  platformDistance,
} from './platform.js';
export { formatReference, parseReference, type Reference } from './reference.js';
