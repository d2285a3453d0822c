/** Downloads one file over https with every wait and size bounded. For registries see `registry/`. */
import { open } from 'node:fs/promises';
import { fileError, HearthError } from '../../errors/index.js';

export interface DownloadOptions {
  readonly signal: AbortSignal | undefined;
  readonly onProgress?: (doneBytes: number, totalBytes: number | undefined) => void;
  /** Replaces the network in tests. Default the global fetch. */
  readonly fetch?: typeof globalThis.fetch;
  /** Until the answer begins, per request, in ms. Default 90 s; less when another source follows. */
  readonly headerTimeoutMs?: number;
  /** Without a single byte, in ms. Default 30 s. */
  readonly stallTimeoutMs?: number;
  /** Default 64 GiB. */
  readonly maxBytes?: number;
}

const DEFAULT_HEADER_TIMEOUT_MS = 90_000;
const DEFAULT_STALL_TIMEOUT_MS = 30_000;
const DEFAULT_MAX_BYTES = 64 * 1024 ** 3;
const MAX_REDIRECTS = 5;

/**
 * Writes what `url` answers to the new file `path`.
 *
 * @throws {HearthError} `ENVIRONMENT_SOURCE_UNAVAILABLE` for any failure of the network or answer other than
 *   200, `CONTENT_TOO_LARGE`, `REDIRECT_REFUSED`, `DISK_FULL`.
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<void> {
  const { maxBytes = DEFAULT_MAX_BYTES, stallTimeoutMs = DEFAULT_STALL_TIMEOUT_MS } = options;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(options.signal?.reason);
  options.signal?.throwIfAborted();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const waitAtMost = (ms: number): NodeJS.Timeout =>
    setTimeout(() => stop.abort(new Error(`no answer for ${ms} ms`)), ms);
  let timer = waitAtMost(options.headerTimeoutMs ?? DEFAULT_HEADER_TIMEOUT_MS);
  try {
    const response = await follow(url, options.fetch ?? globalThis.fetch, stop.signal);
    clearTimeout(timer);
    if (response.status !== 200 || response.body === null) throw new Error(`HTTP status ${response.status}`);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const totalBytes = Number.isSafeInteger(length) ? length : undefined;
    const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
      throw fileError(error, path);
    });
    try {
      let doneBytes = 0;
      timer = waitAtMost(stallTimeoutMs);
      for await (const chunk of response.body) {
        clearTimeout(timer);
        doneBytes += chunk.byteLength;
        if (doneBytes > maxBytes) throw tooLarge(url, maxBytes);
        await file.writeFile(chunk).catch((error: unknown) => {
          throw fileError(error, path);
        });
        options.onProgress?.(doneBytes, totalBytes);
        timer = waitAtMost(stallTimeoutMs);
      }
      if (totalBytes !== undefined && doneBytes !== totalBytes) {
        throw new Error(`it ended after ${doneBytes} of ${totalBytes} bytes`);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (HearthError.is(error)) throw error;
    throw unavailable(url, stop.signal.aborted ? stop.signal.reason : error);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
    stop.abort();
  }
}

async function follow(url: string, fetch: typeof globalThis.fetch, signal: AbortSignal): Promise<Response> {
  let target = url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    const response = await fetch(target, { redirect: 'manual', signal });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    const next = new URL(location, target);
    if (next.protocol !== 'https:') {
      throw new HearthError('REDIRECT_REFUSED', `${target} redirects to ${next.protocol}//${next.host}`, {
        hint: 'Use an address that stays on https.',
        details: { url: target, location: next.href },
      });
    }
    target = next.href;
  }
  throw new HearthError('REDIRECT_REFUSED', `${url} redirects more than ${MAX_REDIRECTS} times`, {
    hint: 'Use the address that it finally leads to.',
    details: { url, limit: MAX_REDIRECTS },
  });
}

function tooLarge(url: string, limitBytes: number): HearthError {
  return new HearthError('CONTENT_TOO_LARGE', `${url} has more than ${limitBytes} bytes`, {
    hint: 'Check the address; no environment is that large.',
    details: { url, limitBytes },
  });
}

function unavailable(url: string, cause: unknown): HearthError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : '';
  const problem = `${cause instanceof Error ? cause.message : String(cause)}${inner}`;
  return new HearthError('ENVIRONMENT_SOURCE_UNAVAILABLE', `${url} could not be fetched: ${problem}`, {
    hint: 'Check the network and the address, then run the same command again.',
    details: { url, problem },
    cause,
  });
}
