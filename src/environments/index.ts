export type { SourceType } from './attempts.js';
export type { CacheItem, CacheKind, CachePruneOptions, CachePruneResult, CacheUsage } from './cache.js';
export { type Catalog, loadCatalog, parseCatalog, USER_CATALOG_FILE } from './catalog.js';
export type { CatalogEntry, CatalogKernel, CatalogSource } from './catalog-schema.js';
export type { RegistryChoices } from './default-parts.js';
export type { TreeSize } from './disk-usage.js';
export type { Environment, RunConfig } from './environment.js';
export type { InstallManifest } from './install-manifest.js';
export type { SavedVm, SavedVms, SavedVmsPruneOptions } from './kept-vms.js';
export type { KernelChoice } from './kernel-inputs.js';
export type { EnvironmentInspection, EnvironmentSummary } from './listing.js';
export { encodeLockfile, type LockedEnvironment, type Lockfile, parseLockfile } from './lockfile-format.js';
export type {
  PruneOptions,
  PruneReason,
  PruneResult,
  RemovedEnvironment,
  RemoveOptions,
  VerifiedEnvironment,
  VerifyOptions,
} from './maintenance.js';
export { nameFromReference } from './names.js';
export type { ArtifactLayer, EnvironmentParts, PulledContent } from './parts.js';
export type {
  EnvironmentPhase,
  EnvironmentProgress,
  OnEnvironmentProgress,
  OperationOptions,
  SkippedSource,
} from './progress.js';
export type { PullEnvironmentOptions } from './pull-options.js';
export type { RegisterOptions } from './register.js';
export { installedRootfsPaths } from './rootfs-paths.js';
export { decompressSniffed } from './sources/decompress.js';
export {
  type EnvironmentStore,
  type EnvironmentStoreOptions,
  openEnvironmentStore,
} from './store.js';
export { suggestNames } from './suggest.js';
