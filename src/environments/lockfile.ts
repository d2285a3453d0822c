/** Lock files: what is installed, to the byte, so that another machine can have the same or learn that it cannot. */
import { HearthError } from '../errors/index.js';
import { DEFAULT_PLATFORM, formatReference, isDigest, parseReference, type Reference } from '../oci/index.js';
import { attemptOf } from './attempts.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { environmentBroken, environmentInUse } from './failures.js';
import { type InstallManifest, KERNEL_FILE, ROOTFS_FILE } from './install-manifest.js';
import { install } from './installer.js';
import { checkStableInstall, findInstalls, manifestOf } from './installs.js';
import type { KernelInputs } from './kernel-inputs.js';
import type { LockedEnvironment, Lockfile } from './lockfile-format.js';
import { findInstalled } from './maintenance.js';
import { withNameLock } from './name-lock.js';
import type { PullEnvironmentOptions } from './pull-options.js';
import type { SourceAttempt } from './source.js';
import { DEBIAN_PACKAGES_LABEL } from './sources/debian-packages.js';
import { PROFILE_SOURCE_LABEL } from './sources/profile.js';

/**
 * What these environments are made of. Broken ones are refused.
 *
 * @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_BROKEN`.
 */
export async function lockEnvironments(
  names: readonly string[] | undefined,
  context: StoreContext,
): Promise<Lockfile> {
  const found =
    names === undefined
      ? (await findInstalls(context.layout)).filter((one) => one.check.state === 'valid')
      : await Promise.all(names.map((name) => findInstalled(name, context)));
  const environments = found.map((one) => {
    const manifest = manifestOf(one);
    if (one.check.state !== 'valid' || manifest === undefined) {
      throw environmentBroken(
        manifest?.name ?? one.entry,
        one.check.state === 'broken' ? one.check.problems : [],
      );
    }
    return lockedOf(manifest);
  });
  return { lockfileVersion: 1, writerVersion: await context.installer.writerVersion(), environments };
}

function lockedOf(manifest: InstallManifest): LockedEnvironment {
  const rootfsDigest = manifest.artifacts[ROOTFS_FILE]?.digest;
  const kernelDigest = manifest.artifacts[KERNEL_FILE]?.digest;
  if (rootfsDigest === undefined || kernelDigest === undefined) {
    throw environmentBroken(manifest.name, ['its manifest has no digests, because an older writer made it']);
  }
  return {
    name: manifest.name,
    version: manifest.version,
    platform: manifest.platform ?? '',
    origin: manifest.origin,
    reference: manifest.reference,
    generation: manifest.generation,
    source: manifest.source,
    sourceDigest: manifest.source_digest,
    indexDigest: manifest.provenance.index_digest,
    manifestDigest: manifest.provenance.manifest_digest,
    layerDigests: manifest.provenance.layers.map((layer) => layer.digest),
    requestedSizeBytes: manifest.requested_size_bytes,
    rootfsDigest,
    kernelName: manifest.kernel?.name ?? null,
    kernelDigest,
  };
}

export async function pullLocked(
  lockfile: Lockfile,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment[]> {
  const environments: Environment[] = [];
  for (const locked of lockfile.environments) {
    options.signal?.throwIfAborted();
    environments.push(await pullLockedEnvironment(locked, options, context));
  }
  return environments;
}

async function pullLockedEnvironment(
  locked: LockedEnvironment,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  const directory = context.layout.installDirectory(locked.name, locked.version);
  const findExact = async (): Promise<Environment | undefined> => {
    const check = await checkStableInstall(directory);
    if (check.state !== 'valid' || differenceOf(locked, check.manifest) !== undefined) return undefined;
    options.onProgress?.({ phase: 'ready', environment: locked.name, source: check.manifest.source });
    return toEnvironment(directory, check.manifest);
  };
  const present = await findExact();
  if (present !== undefined) return present;
  const attempt = attemptFor(locked, context);
  const kernel: KernelInputs = kernelFor(locked, context);
  return await withNameLock(locked.name, options, context, async () => {
    const winner = await findExact();
    if (winner !== undefined) return winner;
    const users = await context.isInUse(directory);
    if (users.length > 0) throw environmentInUse(locked.name, users, 'keep what is installed');
    const manifest = await install(
      {
        name: locked.name,
        version: locked.version,
        origin: locked.origin,
        reference: locked.reference,
        generation: locked.generation,
        catalogVersion: context.catalog.version,
        attempts: [attempt],
        kernel,
        sizeBytes: locked.requestedSizeBytes ?? undefined,
        offline: options.offline ?? context.offline,
        signal: options.signal,
        onProgress: options.onProgress,
        assertWanted: (made) => assertLocked(locked, made),
      },
      context.installer,
    );
    options.onProgress?.({ phase: 'ready', environment: locked.name, source: manifest.source });
    return toEnvironment(directory, manifest);
  });
}

function kernelFor(locked: LockedEnvironment, context: StoreContext): KernelInputs {
  const name = locked.kernelName ?? context.catalog.defaultKernel;
  return { kind: 'named', name: name ?? locked.name };
}

function assertLocked(locked: LockedEnvironment, manifest: InstallManifest): void {
  const difference = differenceOf(locked, manifest);
  if (difference !== undefined) throw mismatch(locked, difference);
}

interface Difference {
  readonly what: string;
  readonly expected: string | null;
  readonly actual: string | null;
}

function differenceOf(locked: LockedEnvironment, manifest: InstallManifest): Difference | undefined {
  const made = lockedOf(manifest);
  for (const what of ['sourceDigest', 'manifestDigest', 'rootfsDigest', 'kernelDigest'] as const) {
    if (locked[what] !== made[what]) return { what, expected: locked[what], actual: made[what] };
  }
  return undefined;
}

function mismatch(locked: LockedEnvironment, { what, expected, actual }: Difference): HearthError {
  return new HearthError(
    'LOCKFILE_MISMATCH',
    `${locked.name} cannot be made as it is locked: ${what} is ${actual ?? 'none'}, locked is ${expected ?? 'none'}`,
    {
      hint: 'Use the same version of hearth and the same kernel as the lock file, or lock anew with `hearth env lock`.',
      details: { environment: locked.name, what, expected, actual },
    },
  );
}

/** The one source that can bring the locked bytes. */
function attemptFor(locked: LockedEnvironment, context: StoreContext): SourceAttempt {
  const oci = ociReferenceOf(locked);
  if (oci !== undefined) {
    const source = { type: 'oci', reference: formatReference(oci), digest: locked.sourceDigest } as const;
    return attemptOf(source, context, DEFAULT_PLATFORM);
  }
  if (/^(?:https|file):/.test(locked.source)) {
    const source = { type: 'archive', url: locked.source, digest: locked.sourceDigest } as const;
    return attemptOf(source, context, DEFAULT_PLATFORM);
  }
  const type =
    locked.source === DEBIAN_PACKAGES_LABEL
      ? 'debian-packages'
      : locked.source === PROFILE_SOURCE_LABEL
        ? 'profile'
        : undefined;
  const source = context.catalog.find(locked.name)?.sources.find((one) => one.type === type);
  if (source === undefined) {
    throw mismatch(locked, { what: 'source', expected: locked.source, actual: null });
  }
  return attemptOf({ ...source, digest: locked.sourceDigest }, context, DEFAULT_PLATFORM);
}

function ociReferenceOf(locked: LockedEnvironment): Reference | undefined {
  if (!locked.source.startsWith('oci://')) return undefined;
  const reference = parseReference(locked.source.slice('oci://'.length));
  return isDigest(locked.manifestDigest) ? { ...reference, digest: locked.manifestDigest } : reference;
}
