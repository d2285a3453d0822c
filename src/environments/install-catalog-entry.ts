/** Installing an environment of the catalog that is not there, or not as it should be. */
import type { Platform } from '../oci/index.js';
import { attemptsOf } from './attempts.js';
import type { CatalogEntry } from './catalog-schema.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { environmentBroken } from './failures.js';
import { install } from './installer.js';
import { checkStableInstall } from './installs.js';
import { resolveKernelInputs } from './kernel-inputs.js';
import { withNameLock } from './name-lock.js';
import { type PullEnvironmentOptions, planBase, ready, refuseInUse, satisfies } from './pull-options.js';
import type { InstallCheck } from './validity.js';

export interface CatalogInstall {
  readonly entry: CatalogEntry;
  readonly directory: string;
  /** What is there now. */
  readonly before: InstallCheck;
  readonly platform: Platform;
}

/** @throws {HearthError} as pulling; `ENVIRONMENT_BROKEN` when a repair failed. */
export async function installCatalogEntry(
  { entry, directory, before, platform }: CatalogInstall,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  const kernel = await resolveKernelInputs(options, entry.kernel);
  const why =
    before.state === 'broken'
      ? `repairing it (${before.problems.join('; ')})`
      : 'pulling it from the catalog';
  options.onProgress?.({ phase: 'resolve', environment: entry.name, message: why });
  try {
    return await withNameLock(entry.name, options, context, async () => {
      const now = await checkStableInstall(directory);
      if (now.state === 'valid') {
        const isNew = before.state !== 'valid' || now.manifest.installed_at !== before.manifest.installed_at;
        if (satisfies(now.manifest, isNew ? { ...options, force: false } : options)) {
          return ready(toEnvironment(directory, now.manifest), options);
        }
        await refuseInUse(entry.name, directory, context);
      }
      const manifest = await install(
        {
          ...planBase(options, context),
          name: entry.name,
          version: entry.version,
          origin: 'catalog',
          reference: null,
          generation: 0,
          attempts: attemptsOf(entry, context, options.source, platform),
          kernel,
        },
        context.installer,
      );
      return ready(toEnvironment(directory, manifest), options);
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw before.state === 'broken' ? environmentBroken(entry.name, before.problems, error) : error;
  }
}
