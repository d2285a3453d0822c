/**
 * Streams over HTTP. `POST /v1/<operation>` with the input as JSON in the header `hearth-input`; the content of
 * an upload is the request's body, that of a download the answer's, whose head is in the header `hearth-head`.
 *
 * A download that fails midway ends without its last chunk; a client that says `te: trailers` is told why in
 * the trailer `hearth-error` instead, and has to look there before it takes the content for whole.
 */

import { HearthError } from '../errors/index.js';
import { errorToJson } from './wire-error.js';

export const INPUT_HEADER = 'hearth-input';
export const HEAD_HEADER = 'hearth-head';
export const ERROR_TRAILER = 'hearth-error';
/** Longest header: a path of 4096 characters with every one of them escaped, and room for the rest. */
export const MAX_STREAM_HEADER_BYTES = 32 * 1024;

const MAX_ERROR_CHARS = 4096;

/** JSON that is safe in a header: everything beyond ASCII is escaped. */
export function headerJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** @throws {HearthError} `REQUEST_INVALID`: the header is missing or not JSON. */
export function parseHeaderJson(name: string, value: string | string[] | undefined): unknown {
  try {
    if (typeof value !== 'string') throw new Error('missing');
    return JSON.parse(value);
  } catch (error) {
    throw new HearthError('REQUEST_INVALID', `the header ${name} does not hold JSON`, {
      hint: `Send the input of the operation in it: ${name}: {"sandbox": "dev", "path": "/etc/hosts"}`,
      details: { header: name },
      cause: error,
    });
  }
}

/** An error for the trailer, shortened where it would not fit. */
export function errorTrailer(error: unknown): string {
  const json = errorToJson(error);
  const text = headerJson({ error: json });
  return text.length <= MAX_ERROR_CHARS
    ? text
    : headerJson({ error: { ...json, message: json.message.slice(0, 500), details: {} } });
}
