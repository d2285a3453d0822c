/** Pulling an image, or an artifact, by its reference: what is installed already, else what the registry has. */
import { formatReference, type Reference } from '../oci/index.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import type { InstallManifest } from './install-manifest.js';
import {
  currentOf,
  type FoundInstall,
  findInstalls,
  installsNamed,
  installsOfReference,
} from './installs.js';
import {
  bootablePlatform,
  type PullEnvironmentOptions,
  type PullMode,
  ready,
  satisfies,
} from './pull-options.js';
import { chooseName } from './reference-name.js';

export async function pullReference(
  reference: Reference,
  mode: PullMode,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  const platform = bootablePlatform(options.platform);
  const canonical = formatReference(reference);
  const name = chooseName(reference, canonical, mode, options, context, await findInstalls(context.layout));
  const findCurrent = async (): Promise<FoundInstall | undefined> =>
    currentOf(installsOfReference(installsNamed(await findInstalls(context.layout), name), canonical));
  const before = await findCurrent();
  const isContent = (found: FoundInstall | undefined): InstallManifest | undefined =>
    mode === 'ensure' && found?.check.state === 'valid' && satisfies(found.check.manifest, options)
      ? found.check.manifest
      : undefined;
  const present = isContent(before);
  if (before !== undefined && present !== undefined)
    return ready(toEnvironment(before.directory, present), options);

  const { installReference } = await import('./install-reference.js');
  return await installReference(
    { reference, canonical, name, mode, platform, before, findCurrent, isContent },
    options,
    context,
  );
}
