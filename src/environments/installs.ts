/** The installs on disk, and which of them a name or reference means. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstallManifest } from './install-manifest.js';
import type { EnvironmentLayout } from './layout.js';
import { safeName } from './names.js';
import { type CheckOptions, checkInstall, type InstallCheck } from './validity.js';

export interface FoundInstall {
  /** Name of its directory. */
  readonly entry: string;
  readonly directory: string;
  readonly check: Exclude<InstallCheck, { state: 'absent' }>;
}

const MAX_READS = 3;

/**
 * Checks one install. A directory that is replaced meanwhile is checked again, so that no mixture of old and
 * new is ever called broken.
 */
export async function checkStableInstall(
  directory: string,
  options: CheckOptions = {},
): Promise<InstallCheck> {
  for (let read = 1; ; read += 1) {
    const before = await inodeOf(directory);
    const check = await checkInstall(directory, options);
    if (check.state === 'valid' || read === MAX_READS || (await inodeOf(directory)) === before) return check;
  }
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch {
    return undefined;
  }
}

/** Every install of the platform, sorted by directory name. */
export async function findInstalls(
  layout: EnvironmentLayout,
  options: CheckOptions = {},
): Promise<FoundInstall[]> {
  const found: FoundInstall[] = [];
  for (const entry of await layout.entries()) {
    const directory = join(layout.platformDirectory, entry);
    const check = await checkStableInstall(directory, options);
    if (check.state !== 'absent') found.push({ entry, directory, check });
  }
  return found;
}

/** What the manifest of an install says, valid or not. */
export function manifestOf(install: FoundInstall): InstallManifest | undefined {
  return install.check.manifest;
}

/** The install with the highest generation, valid ones before broken ones; undefined for none. */
export function currentOf(installs: readonly FoundInstall[]): FoundInstall | undefined {
  const rank = (install: FoundInstall): number => (install.check.state === 'valid' ? 1 : 0);
  return [...installs].sort(
    (a, b) =>
      rank(b) - rank(a) ||
      (manifestOf(b)?.generation ?? -1) - (manifestOf(a)?.generation ?? -1) ||
      (a.entry < b.entry ? 1 : -1),
  )[0];
}

/** Installs of exactly this name, also those whose manifest cannot be read but whose directory says so. */
export function installsNamed(installs: readonly FoundInstall[], name: string): FoundInstall[] {
  return installs.filter((install) => {
    const manifest = manifestOf(install);
    if (manifest !== undefined) return manifest.name === name;
    return install.entry.slice(0, install.entry.lastIndexOf('-')) === safeName(name);
  });
}

/** Installs that were asked for by this canonical reference. */
export function installsOfReference(installs: readonly FoundInstall[], reference: string): FoundInstall[] {
  return installs.filter((install) => manifestOf(install)?.reference === reference);
}
