/** Pulling: makes sure that a catalog entry or an image is installed, by at most one writer per name. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import { withLock, writeFileAtomic } from '../fsx/index.js';
import {
  DEFAULT_PLATFORM,
  digestHex,
  formatReference,
  isDigest,
  type Platform,
  parsePlatform,
  type Reference,
} from '../oci/index.js';
import { attemptsOf, type SourceType } from './attempts.js';
import type { CatalogEntry } from './catalog-schema.js';
import type { StoreContext } from './context.js';
import { type Environment, toEnvironment } from './environment.js';
import { environmentBroken, environmentExists, environmentInUse, unknownEnvironment } from './failures.js';
import { encodeInstallManifest, type InstallManifest, MANIFEST_FILE } from './install-manifest.js';
import { type InstallPlan, install } from './installer.js';
import {
  checkStableInstall,
  currentOf,
  type FoundInstall,
  findInstalls,
  installsNamed,
  installsOfReference,
  manifestOf,
} from './installs.js';
import { type KernelChoice, resolveKernelInputs } from './kernel-inputs.js';
import { assertEnvironmentName, nameFromReference } from './names.js';
import type { OperationOptions } from './progress.js';
import { installedNames, resolveTarget } from './resolve.js';
import type { SourceRequest } from './source.js';
import { manifestDigestOf, obtainFromPulled } from './sources/oci.js';
import { sweepStagings } from './sweep.js';

export interface PullEnvironmentOptions extends OperationOptions, KernelChoice {
  /** Name for an image; default: derived from its reference. Environments of the catalog keep theirs. */
  readonly name?: string;
  /** Size of the rootfs, bytes; default: what fits, at least 1 GiB. */
  readonly sizeBytes?: number;
  /** `linux/amd64` or a variant of it. */
  readonly platform?: string;
  /** Installs again what is valid. Default false. */
  readonly force?: boolean;
  /** Never touches the network. */
  readonly offline?: boolean;
  /** Only sources of this kind. */
  readonly source?: SourceType;
}

/** `pull` asks the registry what a tag means today; `ensure` is content with what is installed. */
export type PullMode = 'pull' | 'ensure';

/** Longer than any build: a dead holder frees its lock at once. */
const LOCK_TIMEOUT_MS = 6 * 3_600_000;
const VERSION_CHARS = 12;
const UNIQUE_CHARS = 6;

export async function pullEnvironment(
  text: string,
  mode: PullMode,
  options: PullEnvironmentOptions,
  context: StoreContext,
): Promise<Environment> {
  options.signal?.throwIfAborted();
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

function ready(environment: Environment, options: OperationOptions): Environment {
  options.onProgress?.({ phase: 'ready', environment: environment.name, source: environment.source });
  return environment;
}

async function pullCatalogEntry(
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

async function pullReference(
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
      return await installReference({ name, wanted, reference, platform, kernel, options, context, winner });
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    throw broken !== undefined && mode === 'ensure' ? environmentBroken(name, broken.problems, error) : error;
  }
}

interface ReferenceInstall {
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

async function installReference(request: ReferenceInstall): Promise<Environment> {
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

function planBase(
  options: PullEnvironmentOptions,
  context: StoreContext,
): Pick<InstallPlan, 'catalogVersion' | 'sizeBytes' | 'offline' | 'signal' | 'onProgress'> {
  return {
    catalogVersion: context.catalog.version,
    sizeBytes: options.sizeBytes,
    offline: options.offline ?? context.offline,
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

/** True when an install is what was asked for, so that nothing has to be done. */
function satisfies(manifest: InstallManifest, options: PullEnvironmentOptions): boolean {
  if (options.force === true || options.kernelPath !== undefined) return false;
  if (options.kernel !== undefined && options.kernel !== manifest.kernel?.name) return false;
  return options.sizeBytes === undefined || options.sizeBytes === manifest.requested_size_bytes;
}

function chooseName(
  reference: Reference,
  canonical: string,
  mode: PullMode,
  options: PullEnvironmentOptions,
  context: StoreContext,
  installs: readonly FoundInstall[],
): string {
  const current = currentOf(installsOfReference(installs, canonical));
  const existing = current && manifestOf(current)?.name;
  const name = assertEnvironmentName(options.name ?? existing ?? nameFromReference(reference));
  if (mode === 'pull' || options.name !== undefined) {
    assertNameFree(name, canonical, installs, context);
    return name;
  }
  if (isNameFree(name, canonical, installs, context)) return name;
  return `${name}-${createHash('sha256').update(canonical).digest('hex').slice(0, UNIQUE_CHARS)}`;
}

function isNameFree(
  name: string,
  canonical: string,
  installs: readonly FoundInstall[],
  { catalog }: StoreContext,
): boolean {
  return catalog.find(name)?.name !== name && takenBy(name, canonical, installs) === undefined;
}

function takenBy(
  name: string,
  canonical: string,
  installs: readonly FoundInstall[],
): InstallManifest | undefined {
  return installsNamed(installs, name)
    .map(manifestOf)
    .find((manifest) => manifest !== undefined && manifest.reference !== canonical);
}

function assertNameFree(
  name: string,
  canonical: string,
  installs: readonly FoundInstall[],
  context: StoreContext,
): void {
  if (isNameFree(name, canonical, installs, context)) return;
  throw environmentExists(name, takenBy(name, canonical, installs)?.reference ?? undefined);
}

async function refuseInUse(name: string, directory: string, context: StoreContext): Promise<void> {
  const users = await context.isInUse(directory);
  if (users.length > 0) throw environmentInUse(name, users, 'pull it under another name');
}

/** Runs `body` as the only one who changes `name`, with nothing of dead writers left. */
export async function withNameLock<T>(
  name: string,
  options: OperationOptions,
  context: StoreContext,
  body: () => Promise<T>,
): Promise<T> {
  await context.layout.prepareForWriting();
  const { signal } = options;
  return await withLock(
    context.layout.lockPath(name),
    async () => {
      await sweepStagings(context.layout, { heldName: name });
      return await body();
    },
    { timeoutMs: LOCK_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) },
  );
}

function bootablePlatform(text: string | undefined): Platform {
  if (text === undefined) return DEFAULT_PLATFORM;
  const platform = parsePlatform(text);
  if (platform.os === DEFAULT_PLATFORM.os && platform.architecture === DEFAULT_PLATFORM.architecture)
    return platform;
  throw new HearthError('PLATFORM_INVALID', `this build of hearth boots linux/amd64, not ${text}`, {
    hint: 'Leave out --platform, or use linux/amd64.',
    details: { platform: text, supported: ['linux/amd64'] },
  });
}
