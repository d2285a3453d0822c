/** The two ways in which an archive is refused, with the place. */
import { HearthError } from '../errors/index.js';

const SHOWN_NAME_CHARS = 300;

/** A name of bytes (latin1) for people and JSON: read as UTF-8, shortened to its end when long. */
export function displayName(name: string): string {
  const tail = name.length > SHOWN_NAME_CHARS ? name.slice(-SHOWN_NAME_CHARS) : name;
  const text = Buffer.from(tail, 'latin1').toString('utf8');
  return tail === name ? text : `…${text}`;
}

/** @param path Name of the entry as far as it is known (latin1). */
export function tarInvalid(reason: string, offsetBytes: number, path?: string): HearthError {
  const shown = path === undefined ? undefined : displayName(path);
  const where =
    shown === undefined ? `at byte ${offsetBytes}` : `in ${JSON.stringify(shown)}, at byte ${offsetBytes}`;
  return new HearthError('TAR_INVALID', `tar archive is not valid: ${reason}, ${where}`, {
    hint: 'The layer is malformed; rebuild the image with a current builder.',
    details: { reason, offsetBytes, ...(shown === undefined ? {} : { path: shown }) },
  });
}

/** The archive ends inside a header, its extensions or a body. */
export function tarTruncated(what: string, offsetBytes: number, path?: string): HearthError {
  const shown = path === undefined ? undefined : displayName(path);
  const of = shown === undefined ? '' : ` of ${JSON.stringify(shown)}`;
  return new HearthError('TAR_TRUNCATED', `tar archive ends at byte ${offsetBytes}, inside ${what}${of}`, {
    hint: 'The layer is incomplete; pull or build the image again.',
    details: { offsetBytes, inside: what, ...(shown === undefined ? {} : { path: shown }) },
  });
}
