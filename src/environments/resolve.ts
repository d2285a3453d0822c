/** What a user means by a name: an install, then a catalog entry, then an image reference. Nothing is fetched. */
import { HearthError } from '../errors/index.js';
import { formatReference, parseReference, type Reference } from '../oci/index.js';
import type { CatalogEntry } from './catalog-schema.js';
import type { StoreContext } from './context.js';
import { unknownEnvironment } from './failures.js';
import {
  currentOf,
  type FoundInstall,
  findInstalls,
  installsNamed,
  installsOfReference,
  manifestOf,
} from './installs.js';

export type Target =
  /** An install that no catalog entry describes; `reference` is set when it came from one. */
  | { readonly kind: 'install'; readonly install: FoundInstall; readonly reference: Reference | undefined }
  | { readonly kind: 'catalog'; readonly entry: CatalogEntry }
  /** An image that is not installed. */
  | { readonly kind: 'reference'; readonly reference: Reference };

/**
 * @throws {HearthError} `ENVIRONMENT_NOT_FOUND` with near names when it can be none of the three;
 *   `REFERENCE_INVALID` for a malformed reference with a path or digest.
 */
export async function resolveTarget(
  text: string,
  context: StoreContext,
): Promise<{ readonly target: Target; readonly installs: readonly FoundInstall[] }> {
  const installs = await findInstalls(context.layout);
  const named = installsNamed(installs, text);
  const ownInstall = currentOf(
    named.filter((install) => ['reference', 'registered'].includes(manifestOf(install)?.origin ?? '')),
  );
  if (ownInstall !== undefined) return { target: installTarget(ownInstall), installs };

  const entry = context.catalog.find(text);
  if (entry !== undefined) return { target: { kind: 'catalog', entry }, installs };
  const orphan = currentOf(named);
  if (orphan !== undefined) return { target: installTarget(orphan), installs };

  let reference: Reference;
  try {
    reference = parseReference(text);
  } catch (error) {
    // Whoever writes a path or a digest means an image, and should hear what is wrong with the reference.
    if (!HearthError.is(error) || /[/@]/.test(text)) throw error;
    throw unknownEnvironment(text, context.catalog, installedNames(installs));
  }
  const pulled = currentOf(installsOfReference(installs, formatReference(reference)));
  if (pulled !== undefined) return { target: installTarget(pulled), installs };
  return { target: { kind: 'reference', reference }, installs };
}

/** The names of everything installed, for suggestions. */
export function installedNames(installs: readonly FoundInstall[]): string[] {
  return installs.map((install) => manifestOf(install)?.name).filter((name) => name !== undefined);
}

function installTarget(install: FoundInstall): Target {
  const reference = manifestOf(install)?.reference ?? null;
  return { kind: 'install', install, reference: reference === null ? undefined : parseReference(reference) };
}
