/**
 * The catalog: environments and kernels that hearth knows by a short name. One is embedded; the user's
 * `catalog.json` in the configuration directory extends or replaces it.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { readFileBounded } from '../fsx/index.js';
import type { Shape } from '../shape/index.js';
import {
  type CatalogDocument,
  type CatalogEntry,
  type CatalogKernel,
  catalogSchema,
  userCatalogSchema,
} from './catalog-schema.js';
import { suggestNames } from './suggest.js';

/** Name of the user's catalog in the configuration directory. */
export const USER_CATALOG_FILE = 'catalog.json';
const EMBEDDED_CATALOG = fileURLToPath(new URL('../../catalog/catalog.json', import.meta.url));
const MAX_CATALOG_BYTES = 4 * 1024 * 1024;

export interface Catalog {
  readonly version: string;
  /** What `run` uses when no environment is named. */
  readonly defaultEnvironment: string;
  /** Kernel for images that do not name one; a catalog may have none. */
  readonly defaultKernel: string | undefined;
  readonly environments: readonly CatalogEntry[];
  readonly kernels: readonly CatalogKernel[];
  /** By name or alias. */
  find(name: string): CatalogEntry | undefined;
  findKernel(name: string): CatalogKernel | undefined;
  /** Every name and alias of an environment near `name`. */
  suggest(name: string): string[];
}

/**
 * Checks a catalog and makes it searchable.
 *
 * @param document As of `catalog/catalog.json`.
 * @param origin Where it came from, for messages.
 * @throws {HearthError} `CONFIG_INVALID` naming the field, also when two entries share a name or alias.
 */
export function parseCatalog(document: unknown, origin = 'catalog'): Catalog {
  return buildCatalog(parseWith(catalogSchema, document, origin), origin);
}

/**
 * Reads the embedded catalog and, when there is one, the user's `catalog.json` in `configDirectory`.
 *
 * @throws {HearthError} `CONFIG_INVALID` when the user's file is not JSON or not a catalog.
 */
export async function loadCatalog(configDirectory?: string): Promise<Catalog> {
  const embedded = parseWith(catalogSchema, await readJson(EMBEDDED_CATALOG), EMBEDDED_CATALOG);
  if (configDirectory === undefined) return buildCatalog(embedded, EMBEDDED_CATALOG);
  const path = join(configDirectory, USER_CATALOG_FILE);
  let document: unknown;
  try {
    document = await readJson(path);
  } catch (error) {
    if (HearthError.is(error) && error.code === 'FILE_NOT_FOUND') {
      return buildCatalog(embedded, EMBEDDED_CATALOG);
    }
    throw error;
  }
  return buildCatalog(mergeCatalogs(embedded, document, path), path);
}

/** The embedded document with the user's over it. */
function mergeCatalogs(embedded: CatalogDocument, userDocument: unknown, path: string): CatalogDocument {
  const user = parseWith(userCatalogSchema, userDocument, path);
  const replace = user.mode === 'replace';
  const newKernelNames = new Set(user.kernels.map((kernel) => kernel.name));
  const taken = new Set(user.environments.map((entry) => entry.name));
  const kept = replace ? [] : embedded.environments.filter((entry) => !taken.has(entry.name));
  const aliasesTaken = new Set(user.environments.flatMap((entry) => [entry.name, ...entry.aliases]));
  return {
    catalogVersion: user.catalogVersion ?? embedded.catalogVersion,
    defaultEnvironment:
      user.defaultEnvironment ??
      (replace ? (user.environments[0]?.name ?? embedded.defaultEnvironment) : embedded.defaultEnvironment),
    defaultKernel: user.defaultKernel ?? (replace ? user.kernels[0]?.name : embedded.defaultKernel),
    environments: [
      ...kept.map((entry) => ({
        ...entry,
        aliases: entry.aliases.filter((alias) => !aliasesTaken.has(alias)),
      })),
      ...user.environments,
    ],
    kernels: [
      ...(replace ? [] : embedded.kernels.filter((kernel) => !newKernelNames.has(kernel.name))),
      ...user.kernels,
    ],
  };
}

function buildCatalog(document: CatalogDocument, origin: string): Catalog {
  const environments = new Map<string, CatalogEntry>();
  for (const entry of document.environments) {
    for (const key of [entry.name, ...entry.aliases]) {
      if (environments.has(key)) throw invalid(origin, `the name ${key} occurs twice`, 'environments');
      environments.set(key, entry);
    }
  }
  const kernels = new Map<string, CatalogKernel>();
  for (const kernel of document.kernels) {
    if (kernels.has(kernel.name)) throw invalid(origin, `the kernel ${kernel.name} occurs twice`, 'kernels');
    kernels.set(kernel.name, kernel);
  }
  return {
    version: document.catalogVersion,
    defaultEnvironment: document.defaultEnvironment,
    defaultKernel: document.defaultKernel,
    environments: document.environments,
    kernels: document.kernels,
    find: (name) => environments.get(name),
    findKernel: (name) => kernels.get(name),
    suggest: (name) => suggestNames(name, [...environments.keys()]),
  };
}

function parseWith<T>(schema: Shape<T>, document: unknown, origin: string): T {
  const reading = schema.read(document);
  if (reading.ok) return reading.value;
  throw invalid(origin, reading.problem, reading.field);
}

function invalid(origin: string, problem: string, field: string): HearthError {
  return new HearthError('CONFIG_INVALID', `${origin}: ${field === '' ? '' : `${field}: `}${problem}`, {
    hint: 'Correct that field, or move the file away to use the catalog that comes with hearth.',
    details: { path: origin, field },
  });
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = (await readFileBounded(path, MAX_CATALOG_BYTES)).toString('utf8');
  } catch (error) {
    throw errnoOf(error) === undefined ? error : fileError(error, path);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, error instanceof Error ? error.message : 'not JSON', '');
  }
}
