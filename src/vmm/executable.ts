/** Finds a program as a shell would, so that a missing one is told from one that fails. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/** The absolute path of `name`, looked up in `searchPath` (as in $PATH), or undefined. */
export async function findExecutable(
  name: string,
  searchPath: string | undefined,
): Promise<string | undefined> {
  const candidates = name.includes('/')
    ? [name]
    : (searchPath ?? '')
        .split(delimiter)
        .filter(isAbsolute)
        .map((directory) => join(directory, name));
  for (const candidate of candidates) {
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not there, or not ours to run: the next directory may have it.
    }
  }
  return undefined;
}
