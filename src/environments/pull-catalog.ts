/** Pulling an environment of the catalog. */
import { HearthError } from '../errors/index.js';
import type { CatalogEntry } from './catalog-schema.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { checkStableInstall } from './installs.js';
import { bootablePlatform, type PullEnvironmentOptions, ready, satisfies } from './pull-options.js';

export async function pullCatalogEntry(
  entry: CatalogEntry,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  if (options.name !== undefined && options.name !== entry.name) {
    throw new HearthError('USAGE_INVALID', `the environment ${entry.name} of the catalog keeps its name`, {
      hint: 'Leave out --name, or pull an image by its reference.',
      details: { environment: entry.name, name: options.name },
    });
  }
  const platform = bootablePlatform(options.platform);
  const directory = context.layout.installDirectory(entry.name, entry.version);
  const before = await checkStableInstall(directory);
  if (before.state === 'valid' && satisfies(before.manifest, options)) {
    return ready(toEnvironment(directory, before.manifest), options);
  }
  const { installCatalogEntry } = await import('./install-catalog-entry.js');
  return await installCatalogEntry({ entry, directory, before, platform }, options, context);
}
