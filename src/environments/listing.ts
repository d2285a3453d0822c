/** What there is: installed, known, or broken. Nothing here changes anything or touches the network. */
import type { CatalogEntry } from './catalog-schema.js';
import type { StoreContext } from './context.js';
import { measureTree, type TreeSize } from './disk-usage.js';
import { type Environment, toEnvironment } from './environment.js';
import { unknownEnvironment } from './failures.js';
import type { InstallManifest } from './install-manifest.js';
import { checkStableInstall, currentOf, type FoundInstall, findInstalls, manifestOf } from './installs.js';
import { installedNames, resolveTarget } from './resolve.js';

export interface EnvironmentSummary {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly version: string;
  readonly description: string;
  readonly installed: boolean;
  readonly state: 'installed' | 'broken' | 'available';
  readonly origin: InstallManifest['origin'];
  /** Where an install came from; null when there is none. */
  readonly source: string | null;
  readonly reference: string | null;
  /** On disk; null when it is not installed. */
  readonly size: TreeSize | null;
  /** True for the one that is used when none is named. */
  readonly isDefault: boolean;
}

export interface EnvironmentInspection {
  readonly name: string;
  readonly version: string;
  readonly installed: boolean;
  readonly directory: string;
  /** What is wrong with what is there; empty when nothing is there. */
  readonly problems: readonly string[];
  /** Absent unless it is installed and whole. */
  readonly environment?: Environment;
  /** Absent when there is none that can be read. */
  readonly installManifest?: InstallManifest;
  readonly catalogEntry?: CatalogEntry;
  readonly size: TreeSize | null;
}

export async function listEnvironments(context: StoreContext): Promise<EnvironmentSummary[]> {
  const installs = await findInstalls(context.layout);
  const summaries: EnvironmentSummary[] = [];
  for (const entry of context.catalog.environments) {
    const directory = context.layout.installDirectory(entry.name, entry.version);
    const found = installs.find((install) => install.directory === directory);
    summaries.push({
      ...(await summaryOf(found, context)),
      name: entry.name,
      aliases: entry.aliases,
      version: entry.version,
      description: entry.description,
      origin: 'catalog',
      isDefault: context.catalog.find(context.catalog.defaultEnvironment) === entry,
    });
  }
  const names = new Set(
    installs.map((install) => manifestOf(install)?.name).filter((name) => name !== undefined),
  );
  for (const name of [...names].sort()) {
    if (context.catalog.find(name)?.name === name) continue;
    const found = currentOf(installs.filter((install) => manifestOf(install)?.name === name));
    const manifest = found === undefined ? undefined : manifestOf(found);
    if (manifest === undefined) continue;
    summaries.push({
      ...(await summaryOf(found, context)),
      name,
      aliases: [],
      version: manifest.version,
      description: manifest.reference ?? 'registered from local files',
      origin: manifest.origin,
      isDefault: context.catalog.defaultEnvironment === name,
    });
  }
  return summaries;
}

async function summaryOf(
  found: FoundInstall | undefined,
  _context: StoreContext,
): Promise<Pick<EnvironmentSummary, 'installed' | 'state' | 'source' | 'reference' | 'size'>> {
  if (found === undefined) {
    return { installed: false, state: 'available', source: null, reference: null, size: null };
  }
  const manifest = manifestOf(found);
  const isValid = found.check.state === 'valid';
  return {
    installed: isValid,
    state: isValid ? 'installed' : 'broken',
    source: manifest?.source ?? null,
    reference: manifest?.reference ?? null,
    size: await measureTree(found.directory),
  };
}

/** @throws {HearthError} `ENVIRONMENT_NOT_FOUND` when it is neither installed nor in the catalog. */
export async function inspectEnvironment(
  text: string,
  context: StoreContext,
): Promise<EnvironmentInspection> {
  const { target, installs } = await resolveTarget(text, context);
  if (target.kind === 'reference') {
    throw unknownEnvironment(text, context.catalog, installedNames(installs));
  }
  if (target.kind === 'install') return await inspectInstall(target.install, context);
  const { entry } = target;
  const directory = context.layout.installDirectory(entry.name, entry.version);
  const check = await checkStableInstall(directory);
  if (check.state !== 'absent') {
    const found = { entry: '', directory, check };
    return { ...(await inspectInstall(found, context)), name: entry.name, version: entry.version };
  }
  return {
    name: entry.name,
    version: entry.version,
    installed: false,
    directory,
    problems: [],
    catalogEntry: entry,
    size: null,
  };
}

async function inspectInstall(found: FoundInstall, context: StoreContext): Promise<EnvironmentInspection> {
  const { check, directory } = found;
  const manifest = manifestOf(found);
  const catalogEntry = manifest?.origin === 'catalog' ? context.catalog.find(manifest.name) : undefined;
  return {
    name: manifest?.name ?? found.entry,
    version: manifest?.version ?? '',
    installed: check.state === 'valid',
    directory,
    problems: check.state === 'broken' ? check.problems : [],
    ...(check.state === 'valid' ? { environment: toEnvironment(directory, check.manifest) } : {}),
    ...(manifest === undefined ? {} : { installManifest: manifest }),
    ...(catalogEntry === undefined ? {} : { catalogEntry }),
    size: await measureTree(directory),
  };
}
