/** Which name an image gets, and whether that is free. */
import { createHash } from 'node:crypto';
import type { Reference } from '../oci/index.js';
import type { StoreContext } from './context.js';
import { environmentExists } from './failures.js';
import type { InstallManifest } from './install-manifest.js';
import { currentOf, type FoundInstall, installsNamed, installsOfReference, manifestOf } from './installs.js';
import { assertEnvironmentName, nameFromReference } from './names.js';
import type { PullEnvironmentOptions, PullMode } from './pull-options.js';

const UNIQUE_CHARS = 6;

/**
 * The name given, else that of an install of the same reference, else one derived from the reference. A derived
 * name that is taken is an error for `pull`; `ensure`, where nobody chose a name, makes it unique.
 *
 * @throws {HearthError} `ENVIRONMENT_EXISTS`, `NAME_INVALID`.
 */
export function chooseName(
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

/** @throws {HearthError} `ENVIRONMENT_EXISTS` when the name is the catalog's or another reference's. */
export function assertNameFree(
  name: string,
  canonical: string,
  installs: readonly FoundInstall[],
  context: StoreContext,
): void {
  if (isNameFree(name, canonical, installs, context)) return;
  throw environmentExists(name, takenBy(name, canonical, installs)?.reference ?? undefined);
}
