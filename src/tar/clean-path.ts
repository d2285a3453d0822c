import { HearthError } from '../errors/index.js';
import { displayName } from './failure.js';

const MAX_PATH_BYTES = 4095;
const MAX_NAME_BYTES = 255;

/**
 * The path of an entry below the directory that an archive is unpacked into; `''` is that directory.
 *
 * @param raw latin1, as the archive has it. A leading slash and parts that are `.` or empty go.
 * @throws {HearthError} `PATH_ESCAPES_ROOT` for a part that is `..`; `PATH_TOO_LONG`, `NAME_TOO_LONG`.
 */
export function cleanTarPath(raw: string): string {
  const parts = raw.split('/').filter((part) => part !== '' && part !== '.');
  const path = parts.join('/');
  if (parts.includes('..')) throw refused('PATH_ESCAPES_ROOT', raw, 'leads out of the archive');
  if (path.length > MAX_PATH_BYTES)
    throw refused('PATH_TOO_LONG', raw, `has more than ${MAX_PATH_BYTES} bytes`);
  if (parts.some((part) => part.length > MAX_NAME_BYTES)) {
    throw refused('NAME_TOO_LONG', raw, `has a name of more than ${MAX_NAME_BYTES} bytes`);
  }
  return path;
}

function refused(
  code: 'PATH_ESCAPES_ROOT' | 'PATH_TOO_LONG' | 'NAME_TOO_LONG',
  raw: string,
  what: string,
): HearthError {
  const path = displayName(raw);
  return new HearthError(code, `a path of the archive ${what}: ${path}`, {
    hint: 'Make the archive again without that file.',
    details: { path },
  });
}
