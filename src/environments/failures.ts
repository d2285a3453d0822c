/** The errors that several operations of the environment store throw. */
import { HearthError } from '../errors/index.js';
import type { Catalog } from './catalog.js';
import { suggestNames } from './suggest.js';

/** Nothing of that name is installed or known; `cause` is why it could not be pulled as an image either. */
export function unknownEnvironment(
  typed: string,
  catalog: Catalog,
  installedNames: readonly string[],
  cause?: HearthError,
): HearthError {
  const known = catalog.environments.flatMap((entry) => [entry.name, ...entry.aliases]);
  const suggestions = suggestNames(typed, [...known, ...installedNames]);
  const shown = JSON.stringify(typed.slice(0, 160));
  const asImage = cause === undefined ? '' : `, and as an image it could not be pulled: ${cause.message}`;
  const didYouMean = suggestions.length === 0 ? undefined : `Did you mean ${suggestions.join(' or ')}?`;
  // A registry that cannot be reached may have the image: the caller may try again.
  const isTemporary = cause?.kind === 'unavailable' || cause?.kind === 'timeout';
  return new HearthError(
    isTemporary ? cause.code : 'ENVIRONMENT_NOT_FOUND',
    `unknown environment ${shown}: not found among those installed or in the catalog${asImage}`,
    {
      hint:
        didYouMean ??
        cause?.hint ??
        'List the known ones with `hearth env list`, or name an image, for example `hearth env pull alpine:3.20`.',
      details: { ...cause?.details, environment: typed.slice(0, 160), suggestions },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

export function environmentBroken(name: string, problems: readonly string[], cause?: unknown): HearthError {
  const why = cause instanceof Error ? `; installing it again failed: ${cause.message}` : '';
  return new HearthError(
    'ENVIRONMENT_BROKEN',
    `environment ${name} is damaged: ${problems.join('; ')}${why}`,
    {
      hint: `Install it again with \`hearth env pull ${name}\`, or remove it with \`hearth env rm ${name}\`.`,
      details: { environment: name, problems },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

export function environmentInUse(name: string, users: readonly string[], what: string): HearthError {
  return new HearthError('ENVIRONMENT_IN_USE', `environment ${name} is used by ${users.join(', ')}`, {
    hint: `Remove those sandboxes first (\`hearth rm ${users[0] ?? ''}\`), or ${what}.`,
    details: { environment: name, users },
  });
}

export function environmentExists(name: string, reference: string | undefined): HearthError {
  const what = reference === undefined ? '' : ` (from ${reference})`;
  return new HearthError('ENVIRONMENT_EXISTS', `an environment named ${name} already exists${what}`, {
    hint: `Choose another name with --name, or remove that one with \`hearth env rm ${name}\`.`,
    details: { environment: name, reference: reference ?? null },
  });
}
