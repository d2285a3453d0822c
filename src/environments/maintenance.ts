/** Verifying, pruning and removing installs. */
import { rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf, fileError } from '../errors/index.js';
import type { StoreContext } from './context.js';
import { measureTree } from './disk-usage.js';
import { environmentInUse, unknownEnvironment } from './failures.js';
import {
  checkStableInstall,
  currentOf,
  type FoundInstall,
  findInstalls,
  installsNamed,
  manifestOf,
} from './installs.js';
import { withNameLock } from './name-lock.js';
import type { OperationOptions } from './progress.js';
import { installedNames, resolveTarget } from './resolve.js';
import { removeSavedVms } from './saved-vms.js';
import { sweepStagings } from './sweep.js';

export interface VerifiedEnvironment {
  readonly name: string;
  readonly directory: string;
  readonly ok: boolean;
  readonly problems: readonly string[];
}

export interface VerifyOptions extends OperationOptions {
  /** Verifies every install. */
  readonly all?: boolean;
}

/**
 * Hashes every artifact and compares it with the manifest. Damage is a result, not an error.
 *
 * @param names Environments that are installed; ignored with `all`.
 * @throws {HearthError} `ENVIRONMENT_NOT_FOUND` when one of them is not installed.
 */
export async function verifyEnvironments(
  names: readonly string[],
  options: VerifyOptions,
  context: StoreContext,
): Promise<VerifiedEnvironment[]> {
  const directories =
    options.all === true
      ? (await findInstalls(context.layout)).map((install) => install.directory)
      : await Promise.all(names.map(async (name) => (await findInstalled(name, context)).directory));
  const results: VerifiedEnvironment[] = [];
  for (const directory of directories) {
    options.signal?.throwIfAborted();
    const check = await checkStableInstall(directory, { full: true, signal: options.signal });
    if (check.state === 'absent') continue;
    results.push({
      name: check.manifest?.name ?? basename(directory),
      directory,
      ok: check.state === 'valid',
      problems: check.state === 'broken' ? check.problems : [],
    });
  }
  return results;
}

/** The install that a name or reference means, valid or not. @throws {HearthError} `ENVIRONMENT_NOT_FOUND`. */
export async function findInstalled(text: string, context: StoreContext): Promise<FoundInstall> {
  const { target, installs } = await resolveTarget(text, context);
  if (target.kind === 'install') return target.install;
  if (target.kind === 'catalog') {
    const { name, version } = target.entry;
    const directory = context.layout.installDirectory(name, version);
    const found =
      installs.find((install) => install.directory === directory) ?? currentOf(installsNamed(installs, name));
    if (found !== undefined) return found;
  }
  throw unknownEnvironment(text, context.catalog, installedNames(installs));
}

/**
 * Why `prune` removes an entry. partial: left by a writer that died · no-manifest, invalid-manifest: not an
 * install · not-in-catalog, other-version: the catalog no longer has it · superseded: a newer install of the
 * same name is current · broken: an artifact is missing or damaged.
 */
export type PruneReason =
  | 'partial'
  | 'no-manifest'
  | 'invalid-manifest'
  | 'not-in-catalog'
  | 'other-version'
  | 'superseded'
  | 'broken';

export interface PruneOptions extends OperationOptions {
  /** Says what would be removed and removes nothing. */
  readonly dryRun?: boolean;
}

export interface PruneResult {
  readonly dryRun: boolean;
  readonly count: number;
  /** Allocated bytes of what was removed. */
  readonly freedBytes: number;
  readonly removed: readonly {
    readonly path: string;
    readonly reason: PruneReason;
    readonly bytes: number;
  }[];
  /** Stale, but used by these sandboxes. */
  readonly kept: readonly {
    readonly path: string;
    readonly reason: PruneReason;
    readonly users: readonly string[];
  }[];
}

/** Removes what is stale; never a valid current install, nothing that a sandbox uses, nothing that is being made. */
export async function pruneEnvironments(options: PruneOptions, context: StoreContext): Promise<PruneResult> {
  const dryRun = options.dryRun === true;
  const removed: { path: string; reason: PruneReason; bytes: number }[] = [];
  const kept: { path: string; reason: PruneReason; users: readonly string[] }[] = [];
  const stagings = await sweepStagings(context.layout, { dryRun });
  removed.push(...stagings.map(({ path, bytes }) => ({ path, reason: 'partial' as const, bytes })));
  const installs = await findInstalls(context.layout);
  for (const install of installs) {
    options.signal?.throwIfAborted();
    const reason = staleReason(install, installs, context);
    if (reason === undefined) continue;
    const users = await context.isInUse(install.directory);
    if (users.length > 0) {
      kept.push({ path: install.directory, reason, users });
      continue;
    }
    const { allocatedBytes } = await measureTree(install.directory);
    if (!dryRun && !(await removeStale(install, options, context))) continue;
    removed.push({ path: install.directory, reason, bytes: allocatedBytes });
  }
  const freedBytes = removed.reduce((sum, { bytes }) => sum + bytes, 0);
  return { dryRun, count: removed.length, freedBytes, removed, kept };
}

function staleReason(
  install: FoundInstall,
  installs: readonly FoundInstall[],
  { catalog, layout }: StoreContext,
): PruneReason | undefined {
  const manifest = manifestOf(install);
  if (manifest === undefined) {
    const isMissing =
      install.check.state === 'broken' && install.check.problems[0]?.startsWith('there is no');
    return isMissing === true ? 'no-manifest' : 'invalid-manifest';
  }
  if (manifest.origin === 'catalog') {
    const entry = catalog.find(manifest.name);
    if (entry === undefined || entry.name !== manifest.name) return 'not-in-catalog';
    if (entry.version !== manifest.version) return 'other-version';
    if (layout.installDirectory(entry.name, entry.version) !== install.directory) return 'invalid-manifest';
  } else if (
    currentOf(installsNamed(installs, manifest.name)) !== install &&
    install.check.state === 'valid'
  ) {
    return 'superseded';
  }
  return install.check.state === 'valid' ? undefined : 'broken';
}

/** Removes a stale install under its name's lock. False when it has changed since it was looked at. */
async function removeStale(
  install: FoundInstall,
  options: OperationOptions,
  context: StoreContext,
): Promise<boolean> {
  const name =
    manifestOf(install)?.name ?? install.entry.slice(0, Math.max(0, install.entry.lastIndexOf('-')));
  return await withNameLock(name === '' ? 'unnamed' : name, options, context, async () => {
    const installs = await findInstalls(context.layout);
    const now = installs.find((other) => other.directory === install.directory);
    if (now === undefined || staleReason(now, installs, context) === undefined) return false;
    await removeDirectory(now.directory, name, context);
    return true;
  });
}

export interface RemoveOptions extends OperationOptions {
  /** Removes it although sandboxes use it. Default false. */
  readonly force?: boolean;
}

export interface RemovedEnvironment {
  readonly name: string;
  readonly removed: readonly string[];
  readonly freedBytes: number;
}

/**
 * Removes an environment, all its installs, whole or broken. Running VMs keep what they have open.
 *
 * @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, `ENVIRONMENT_IN_USE`.
 */
export async function removeEnvironment(
  text: string,
  options: RemoveOptions,
  context: StoreContext,
): Promise<RemovedEnvironment> {
  const found = await findInstalled(text, context);
  const name = manifestOf(found)?.name ?? found.entry.slice(0, found.entry.lastIndexOf('-'));
  return await withNameLock(name, options, context, async () => {
    const installs = installsNamed(await findInstalls(context.layout), name);
    const all = installs.some((install) => install.directory === found.directory)
      ? installs
      : [found, ...installs];
    if (options.force !== true) {
      const users = (await Promise.all(all.map((install) => context.isInUse(install.directory)))).flat();
      if (users.length > 0) throw environmentInUse(name, users, 'use --force');
    }
    const removed: string[] = [];
    let freedBytes = 0;
    for (const { directory } of all) {
      options.signal?.throwIfAborted();
      freedBytes += (await measureTree(directory)).allocatedBytes;
      freedBytes += await removeDirectory(directory, name, context);
      removed.push(directory);
    }
    return { name, removed, freedBytes };
  });
}

/**
 * Out of sight first, by one rename, then away: nobody ever sees a half removed install. The VMs that were saved when
 * they had booted from it go with it.
 *
 * @returns The bytes that those freed.
 */
async function removeDirectory(directory: string, name: string, context: StoreContext): Promise<number> {
  const trash = await context.layout.createStaging(name === '' ? 'unnamed' : name);
  try {
    await rename(directory, join(trash, 'removed'));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw fileError(error, directory);
  } finally {
    await rm(trash, { recursive: true, force: true, maxRetries: 3 });
  }
  return await removeSavedVms(context.snapshotsDirectory, directory);
}
