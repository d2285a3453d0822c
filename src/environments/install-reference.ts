/** Installing what a registry has under a reference, or what one of its tags names today. */
import { join } from 'node:path';
import { writeFileAtomic } from '../fsx/index.js';
import { digestHex, formatReference, isDigest, type Platform, type Reference } from '../oci/index.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { environmentBroken } from './failures.js';
import { encodeInstallManifest, type InstallManifest, MANIFEST_FILE } from './install-manifest.js';
import type { InstallPlan } from './install-plan.js';
import { install } from './installer.js';
import { checkStableInstall, type FoundInstall, findInstalls, manifestOf } from './installs.js';
import { resolveKernelInputs } from './kernel-inputs.js';
import { withNameLock } from './name-lock.js';
import {
  type PullEnvironmentOptions,
  type PullMode,
  planBase,
  ready,
  refuseInUse,
  satisfies,
} from './pull-options.js';
import { assertNameFree } from './reference-name.js';
import type { SourceRequest } from './source.js';
import { manifestDigestOf, obtainFromPulled } from './sources/oci.js';

const VERSION_CHARS = 12;

export interface ReferenceInstall {
  readonly reference: Reference;
  /** The reference in full. */
  readonly canonical: string;
  readonly name: string;
  readonly mode: PullMode;
  readonly platform: Platform;
  /** The install of this reference as it was found. */
  readonly before: FoundInstall | undefined;
  /** Looks for it again. */
  readonly findCurrent: () => Promise<FoundInstall | undefined>;
  /** Its manifest when nothing has to be done. */
  readonly isContent: (found: FoundInstall | undefined) => InstallManifest | undefined;
}

/** @throws {HearthError} as pulling; `ENVIRONMENT_BROKEN` when a repair failed. */
export async function installReference(
  { reference, canonical, name, mode, platform, before, findCurrent, isContent }: ReferenceInstall,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  const kernel = await resolveKernelInputs(options, context.catalog.defaultKernel);
  const broken = before?.check.state === 'broken' ? before.check : undefined;
  options.onProgress?.({
    phase: 'resolve',
    environment: name,
    message:
      broken === undefined ? `looking up ${canonical}` : `repairing it (${broken.problems.join('; ')})`,
  });
  // A repair restores what was there; only an explicit pull follows a tag.
  const brokenDigest = mode === 'ensure' ? broken?.manifest?.provenance.manifest_digest : undefined;
  const wanted = isDigest(brokenDigest) ? { ...reference, digest: brokenDigest } : reference;
  try {
    return await withNameLock(name, options, context, async () => {
      const installs = await findInstalls(context.layout);
      if (options.name !== undefined || mode === 'pull') assertNameFree(name, canonical, installs, context);
      const winner = await findCurrent();
      const won = isContent(winner);
      if (winner !== undefined && won !== undefined)
        return ready(toEnvironment(winner.directory, won), options);
      return await installPulled({ name, wanted, reference, platform, kernel, options, context, winner });
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw broken !== undefined && mode === 'ensure' ? environmentBroken(name, broken.problems, error) : error;
  }
}

interface PulledInstall {
  readonly name: string;
  /** What is pulled; `reference` is what was asked for. */
  readonly wanted: Reference;
  readonly reference: Reference;
  readonly platform: Platform;
  readonly kernel: InstallPlan['kernel'];
  readonly options: PullEnvironmentOptions;
  readonly context: StoreContext;
  readonly winner: FoundInstall | undefined;
}

async function installPulled(request: PulledInstall): Promise<Environment> {
  const { name, wanted, reference, platform, kernel, options, context, winner } = request;
  await using pulled = await context.parts.pull(wanted, {
    platform,
    offline: options.offline ?? context.offline,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onProgress: (doneBytes, totalBytes) =>
      options.onProgress?.({ phase: 'download', environment: name, doneBytes, totalBytes }),
  });
  const version = digestHex(manifestDigestOf(pulled)).slice(0, VERSION_CHARS);
  const directory = context.layout.installDirectory(name, version);
  const generation = ((winner && manifestOf(winner)?.generation) ?? 0) + 1;
  const present = await checkStableInstall(directory);
  if (present.state === 'valid') {
    if (satisfies(present.manifest, options)) {
      const isCurrent = winner?.directory === directory;
      const manifest = isCurrent
        ? present.manifest
        : await makeCurrent(directory, present.manifest, generation);
      return ready(toEnvironment(directory, manifest), options);
    }
    await refuseInUse(name, directory, context);
  }
  const attempt = {
    label: `oci ${formatReference(wanted)}`,
    kernel: 'unknown' as const,
    obtain: (asked: SourceRequest) => obtainFromPulled(wanted, pulled, asked, context.parts),
  };
  const manifest = await install(
    {
      ...planBase(options, context),
      name,
      version,
      origin: 'reference',
      reference: formatReference(reference),
      generation,
      attempts: [attempt],
      kernel,
    },
    context.installer,
  );
  return ready(toEnvironment(directory, manifest), options);
}

/** A tag has moved back to an image that is still installed. */
async function makeCurrent(
  directory: string,
  manifest: InstallManifest,
  generation: number,
): Promise<InstallManifest> {
  const current = { ...manifest, generation };
  await writeFileAtomic(join(directory, MANIFEST_FILE), encodeInstallManifest(current));
  return current;
}
