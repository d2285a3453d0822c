export type { BlobProgress } from './blob-download.js';
export type { RegistryAuth, RegistryLimits, RegistryOptions } from './options.js';
export {
  type ArtifactBlob,
  fetchArtifact,
  type PulledArtifact,
  type PulledImage,
  type PullOptions,
  pullImage,
} from './pull.js';
export { type ResolveOptions, resolveReference } from './resolve.js';
