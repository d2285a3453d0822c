/** What a registry's status codes mean. Source: distribution-spec v1.1.1, "Error Codes". */
import { HearthError } from '../errors/index.js';
import { responseInvalid } from './failures.js';
import { assertNotHtml, type HttpResponse } from './http.js';
import { printable, redactUrl } from './redact.js';
import { parseRetryAfter } from './retry.js';

/** What was asked for, for the choice between codes. */
export type Wanted = 'manifest' | 'blob' | 'token';

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_MESSAGE_CHARS = 200;
/** Statuses that say all there is to say, whatever page comes with them. */
const PLAIN_STATUSES = new Set([401, 403, 429]);

interface RegistryMessage {
  readonly code: string;
  readonly message: string;
}

interface Said {
  readonly first?: RegistryMessage;
  /** The start of the body when it is not the registry's JSON. */
  readonly text: string;
}

/**
 * The error for a response that is not a success; takes its body.
 *
 * @returns `MANIFEST_UNKNOWN`, `BLOB_UNKNOWN`, `REGISTRY_UNAUTHORIZED`, `REGISTRY_DENIED`, `REGISTRY_RATE_LIMITED`,
 *   `REGISTRY_UNAVAILABLE` or `REGISTRY_RESPONSE_INVALID`.
 */
export async function statusError(response: HttpResponse, wanted: Wanted): Promise<HearthError> {
  const { status, url } = response;
  const said = await readMessage(response, status);
  if (HearthError.is(said)) return said;
  const text = said.first === undefined ? '' : `: ${said.first.code} ${said.first.message}`.trimEnd();
  const details = { url: redactUrl(url), status, registryCode: said.first?.code ?? null };
  if (status === 404 && wanted !== 'token') {
    return new HearthError(
      wanted === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN',
      `${url.host} does not have this ${wanted === 'manifest' ? 'image' : 'blob'}${text}`,
      { hint: 'Check the spelling of the repository and the tag.', details },
    );
  }
  if (status === 429) {
    const retryAfterMs = parseRetryAfter(response.header('retry-after'), response.header('date'));
    const wait = retryAfterMs === undefined ? '' : `; it asks to wait ${Math.ceil(retryAfterMs / 1000)} s`;
    return new HearthError('REGISTRY_RATE_LIMITED', `${url.host} limits how often images are pulled${wait}`, {
      hint: 'Log in to get a higher limit, use a mirror, or try again later.',
      details: { ...details, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    });
  }
  if (status === 401) {
    return new HearthError('REGISTRY_UNAUTHORIZED', `${url.host} does not accept our login${text}`, {
      hint: `Log in with \`docker login ${url.host}\` or \`podman login ${url.host}\`.`,
      details,
    });
  }
  if (status === 403) {
    return new HearthError('REGISTRY_DENIED', `${url.host} refuses access${text}`, {
      hint: 'Check that your account may read this repository.',
      details,
    });
  }
  if (status >= 500 || status === 408 || status === 425) {
    const retryAfterMs = parseRetryAfter(response.header('retry-after'), response.header('date'));
    return new HearthError('REGISTRY_UNAVAILABLE', `${url.host} failed with status ${status}${text}`, {
      hint: 'Run the same command again later; what has arrived is kept.',
      details: { ...details, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    });
  }
  return responseInvalid(url, `status ${status}${text}`, { status, said: said.text });
}

/** What the body says, or an error of ours when it is a web page. */
async function readMessage(response: HttpResponse, status: number): Promise<Said | HearthError> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of response.chunks()) {
      parts.push(chunk);
      sizeBytes += chunk.byteLength;
      if (sizeBytes > MAX_ERROR_BYTES) break;
    }
  } catch (error) {
    // The status alone says enough, unless the caller gave up.
    if (!HearthError.is(error)) throw error;
  }
  const body = Buffer.concat(parts);
  if (!PLAIN_STATUSES.has(status) && status < 500) {
    try {
      assertNotHtml(response, body);
    } catch (error) {
      if (HearthError.is(error)) return error;
      throw error;
    }
  }
  const first = firstError(body);
  return first === undefined
    ? { text: printable(body.subarray(0, MAX_MESSAGE_CHARS).toString('latin1'), MAX_MESSAGE_CHARS) }
    : { first, text: '' };
}

function firstError(body: Buffer): RegistryMessage | undefined {
  try {
    const { errors } = JSON.parse(body.toString('utf8'));
    const { code, message } = errors[0];
    return {
      code: typeof code === 'string' ? printable(code, 64) : '',
      message: typeof message === 'string' ? printable(message, MAX_MESSAGE_CHARS) : '',
    };
  } catch {
    return undefined;
  }
}
