/**
 * The environment store: everything that can be booted, by name. One store serves any number of processes.
 *
 * An environment becomes valid by one rename of a finished, synced directory. Reading needs no lock and no
 * right to write; whoever changes an environment holds a lock of its name that dies with its process.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HearthPaths } from '../fsx/index.js';
import type { KernelBundle } from '../kernels/index.js';
import type { CachePruneOptions, CachePruneResult, CacheUsage } from './cache.js';
import { type Catalog, loadCatalog } from './catalog.js';
import type { StoreContext } from './context.js';
import { defaultParts, type RegistryChoices } from './default-parts.js';
import type { Environment } from './environment.js';
import { withFreshInitrd } from './fresh-initrd.js';
import type { SavedVms } from './kept-vms.js';
import { defaultEnvironmentsDirectory, EnvironmentLayout } from './layout.js';
import type { EnvironmentInspection, EnvironmentSummary } from './listing.js';
import type { Lockfile } from './lockfile-format.js';
import type {
  PruneOptions,
  PruneResult,
  RemovedEnvironment,
  RemoveOptions,
  VerifiedEnvironment,
  VerifyOptions,
} from './maintenance.js';
import type { EnvironmentParts } from './parts.js';
import type { OperationOptions } from './progress.js';
import type { PullEnvironmentOptions } from './pull-options.js';
import { pullEnvironment } from './puller.js';
import type { RegisterOptions } from './register.js';
import { writerVersion } from './writer-version.js';

export interface EnvironmentStoreOptions {
  readonly paths: HearthPaths;
  /** The guest agent's binary, packed into every initrd. */
  readonly agentPath: string;
  /** Default: the embedded catalog with the user's `catalog.json` over it. */
  readonly catalog?: Catalog;
  /** Default: `HEARTH_ENVIRONMENT_CACHE_DIR`, else `data/environments`. */
  readonly directory?: string;
  /** Default: `profiles/` beside the embedded catalog. */
  readonly profilesDirectory?: string;
  /** Looked at for the variable above. Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly registry?: RegistryChoices;
  /** No operation touches the network. Default false. */
  readonly offline?: boolean;
  /** Names of the sandboxes that use an install directory. Default: none do. */
  readonly isInUse?: (installDirectory: string) => Promise<readonly string[]>;
  /** The saved VMs that `cacheUsage` and `pruneCache` count and prune. Default: counted, never pruned. */
  readonly savedVms?: SavedVms;
  /** Replaces registry, converter or kernel store, for tests and embedders. */
  readonly parts?: Partial<EnvironmentParts>;
}

export interface EnsureKernelChoice extends OperationOptions {
  readonly offline?: boolean;
}

export interface EnvironmentStore {
  readonly directory: string;
  readonly catalog: Catalog;
  /** Every environment of the catalog and everything else that is installed, by name. */
  list(): Promise<EnvironmentSummary[]>;
  /** @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, text `unknown environment`, with near names in the hint. */
  inspect(name: string): Promise<EnvironmentInspection>;
  /**
   * Makes sure that what the catalog or the registry means by the name today is installed and whole. Repairs
   * what is broken.
   *
   * @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_EXISTS`, `ENVIRONMENT_IN_USE`, what the sources
   *   and the kernel store throw; rejects with `signal.reason` when aborted. Nothing is left behind then.
   */
  pull(nameOrReference: string, options?: PullEnvironmentOptions): Promise<Environment>;
  /**
   * Finds an environment: installed, else by the catalog, else as an image; fetches at most once. What is
   * installed is not asked for again. Broken installs are repaired.
   *
   * @param nameOrReference Default: the catalog's default environment.
   * @throws {HearthError} as `pull`; `ENVIRONMENT_BROKEN` when a repair failed or is not possible.
   */
  ensureInstalled(nameOrReference?: string, options?: PullEnvironmentOptions): Promise<Environment>;
  /** As `ensureInstalled` for a kernel: kernel store, then catalog. @throws {HearthError} `KERNEL_NOT_FOUND`. */
  ensureKernel(name: string, options?: EnsureKernelChoice): Promise<KernelBundle>;
  verify(names: readonly string[], options?: VerifyOptions): Promise<VerifiedEnvironment[]>;
  prune(options?: PruneOptions): Promise<PruneResult>;
  remove(name: string, options?: RemoveOptions): Promise<RemovedEnvironment>;
  register(name: string, options: RegisterOptions): Promise<Environment>;
  /** What is installed, exactly. @param names Default: everything that is installed. */
  lock(names?: readonly string[]): Promise<Lockfile>;
  /**
   * Installs exactly what a lock file says, or fails and changes nothing that is installed.
   *
   * @throws {HearthError} `LOCKFILE_MISMATCH` naming the digest that differs.
   */
  pullLocked(lockfile: Lockfile, options?: PullEnvironmentOptions): Promise<Environment[]>;
  cacheUsage(): Promise<CacheUsage>;
  pruneCache(options?: CachePruneOptions): Promise<CachePruneResult>;
}

const EMBEDDED_PROFILES = fileURLToPath(new URL('../../catalog/profiles', import.meta.url));

/** Opens the store; creates nothing. @throws {HearthError} `CONFIG_INVALID` for the user's catalog. */
export async function openEnvironmentStore(options: EnvironmentStoreOptions): Promise<EnvironmentStore> {
  const { paths, agentPath } = options;
  const catalog = options.catalog ?? (await loadCatalog(paths.config));
  const directory = options.directory ?? defaultEnvironmentsDirectory(paths, options.env ?? process.env);
  const layout = new EnvironmentLayout(directory);
  const parts: EnvironmentParts = { ...defaultParts(paths, options.registry), ...options.parts };
  const context: StoreContext = {
    layout,
    catalog,
    parts,
    profilesDirectory: options.profilesDirectory ?? EMBEDDED_PROFILES,
    snapshotsDirectory: join(paths.data, 'snapshots'),
    isInUse: options.isInUse ?? (async () => []),
    savedVms: options.savedVms,
    offline: options.offline ?? false,
    installer: {
      layout,
      boot: parts,
      agentPath,
      initrdCacheDirectory: join(paths.cache, 'initrds'),
      writerVersion,
      ensureKernel: async (name, plan) => {
        const { ensureKernel } = await import('./kernel-inputs.js');
        return await ensureKernel(name, catalog, parts.kernels, {
          offline: plan.offline,
          signal: plan.signal,
          onProgress: (message) =>
            plan.onProgress?.({
              phase: 'kernel',
              environment: plan.name,
              message: `${name}: ${message}`,
            }),
        });
      },
    },
  };
  return {
    directory,
    catalog,
    // What finding an installed environment does not need is loaded when it is asked for.
    list: async () => await (await import('./listing.js')).listEnvironments(context),
    inspect: async (name) => await (await import('./listing.js')).inspectEnvironment(name, context),
    pull: async (name, pullOptions = {}) => await pullEnvironment(name, 'pull', pullOptions, context),
    ensureInstalled: async (name = catalog.defaultEnvironment, pullOptions = {}) =>
      await withFreshInitrd(await pullEnvironment(name, 'ensure', pullOptions, context), context),
    ensureKernel: async (name, choice = {}) => {
      const { ensureKernel } = await import('./kernel-inputs.js');
      return await ensureKernel(name, catalog, parts.kernels, {
        offline: choice.offline ?? context.offline,
        signal: choice.signal,
        onProgress: (message) => choice.onProgress?.({ phase: 'kernel', environment: name, message }),
      });
    },
    verify: async (names, verifyOptions = {}) =>
      await (await import('./maintenance.js')).verifyEnvironments(names, verifyOptions, context),
    prune: async (pruneOptions = {}) =>
      await (await import('./maintenance.js')).pruneEnvironments(pruneOptions, context),
    remove: async (name, removeOptions = {}) =>
      await (await import('./maintenance.js')).removeEnvironment(name, removeOptions, context),
    register: async (name, registerOptions) =>
      await (await import('./register.js')).registerEnvironment(name, registerOptions, context),
    lock: async (names) => await (await import('./lockfile.js')).lockEnvironments(names, context),
    pullLocked: async (lockfile, pullOptions = {}) =>
      await (await import('./lockfile.js')).pullLocked(lockfile, pullOptions, context),
    cacheUsage: async () => await (await import('./cache.js')).cacheUsage(paths, context),
    pruneCache: async (pruneOptions = {}) =>
      await (await import('./cache.js')).pruneCache(paths, pruneOptions, context),
  };
}
