/** Pulling: makes sure that what a name or reference means is installed. */
import { HearthError } from '../errors/index.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { environmentBroken, unknownEnvironment } from './failures.js';
import { type FoundInstall, manifestOf } from './installs.js';
import { pullCatalogEntry } from './pull-catalog.js';
import { type PullEnvironmentOptions, type PullMode, ready } from './pull-options.js';
import { pullReference } from './pull-reference.js';
import { installedNames, resolveTarget } from './resolve.js';

export async function pullEnvironment(
  text: string,
  mode: PullMode,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  options.signal?.throwIfAborted();
  await context.layout.assertTrusted();
  const { target, installs } = await resolveTarget(text, context);
  switch (target.kind) {
    case 'catalog':
      return await pullCatalogEntry(target.entry, options, context);
    case 'install':
      if (target.reference !== undefined) {
        return await pullReference(
          target.reference,
          mode,
          { name: manifestName(target.install), ...options },
          context,
        );
      }
      return keepInstall(text, target.install, options);
    case 'reference':
      try {
        return await pullReference(target.reference, mode, options, context);
      } catch (error) {
        // A bare word may be a mistyped name; whoever writes a registry or a path means an image.
        const isAnswer = HearthError.is(error) && (error.kind === 'notFound' || error.kind === 'denied');
        const isSilence = HearthError.is(error) && (error.kind === 'unavailable' || error.kind === 'timeout');
        if (text.includes('/') || !HearthError.is(error) || !(isAnswer || isSilence)) throw error;
        if (!/^(?:REGISTRY_|MANIFEST_|BLOB_|OFFLINE|PLATFORM_)/.test(error.code)) throw error;
        throw unknownEnvironment(text, context.catalog, installedNames(installs), error);
      }
  }
}

function manifestName(found: FoundInstall): string {
  return manifestOf(found)?.name ?? found.entry;
}

/** An install that can only be used as it is: there is nowhere to get it from again. */
function keepInstall(text: string, found: FoundInstall, options: PullEnvironmentOptions): Environment {
  if (found.check.state === 'broken') throw environmentBroken(text, found.check.problems);
  return ready(toEnvironment(found.directory, found.check.manifest), options);
}
