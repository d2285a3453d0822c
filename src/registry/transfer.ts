/**
 * The way of one blob from the registry into an ingest: resumed after every interruption, watched for stalls,
 * bounded by the size that its descriptor states.
 */
import { performance } from 'node:perf_hooks';
import { HearthError } from '../errors/index.js';
import type { BlobKey, Ingest } from '../oci/index.js';
import { registryTimeout, responseInvalid } from './failures.js';
import { assertNotHtml, type HttpResponse, withDeadline } from './http.js';
import type { RegistryLimits } from './options.js';
import { Retries } from './retry.js';
import type { Session } from './session.js';

/** An attempt that brings less than this has not really helped; else a server could string us along for ever. */
const PROGRESS_BYTES = 64 * 1024;
/** Chunks gathered while the previous write is under way. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
const HTTP_PARTIAL_CONTENT = 206;
const HTTP_RANGE_NOT_SATISFIABLE = 416;

export interface TransferOptions {
  readonly limits: RegistryLimits;
  readonly signal: AbortSignal;
  /** Called after every write with the bytes that are in the file by then. */
  readonly onWritten: (writtenBytes: number) => void;
}

/**
 * Fills `ingest` from the first session that can; does not commit.
 *
 * @throws {HearthError} the last session's error; rejects with `signal.reason` when aborted.
 */
export async function transferBlob(
  sessions: readonly Session[],
  blob: BlobKey,
  ingest: Ingest,
  options: TransferOptions,
): Promise<void> {
  for (const [index, session] of sessions.entries()) {
    try {
      return await transferFrom(session, blob, ingest, options);
    } catch (error) {
      options.signal.throwIfAborted();
      const isLast = index === sessions.length - 1;
      // A full disk is full whichever server sends the bytes.
      if (isLast || (HearthError.is(error) && error.code === 'DISK_FULL')) throw error;
    }
  }
}

async function transferFrom(
  session: Session,
  blob: BlobKey,
  ingest: Ingest,
  options: TransferOptions,
): Promise<void> {
  const { limits, signal } = options;
  const retries = new Retries(limits, limits.maxTransferAttempts, signal, session.hasAnswered);
  while (ingest.writtenBytes < blob.sizeBytes) {
    const before = ingest.writtenBytes;
    try {
      await requestRest(session, blob, ingest, options);
    } catch (error) {
      options.signal.throwIfAborted();
      if (ingest.writtenBytes - before >= PROGRESS_BYTES) retries.progress();
      await retries.pauseOrThrow(error);
    }
  }
}

async function requestRest(
  session: Session,
  blob: BlobKey,
  ingest: Ingest,
  options: TransferOptions,
): Promise<void> {
  const offset = ingest.writtenBytes;
  // Headers have their own limit, but a proxy or a chain of redirects can add to it; the body may take its time.
  const { limits, signal } = options;
  const response = await withDeadline(session.url, limits.requestTimeoutMs, signal, (bounded) =>
    requestFrom(session, blob, offset, bounded),
  );
  try {
    const skip = response.status === HTTP_PARTIAL_CONTENT ? checkRange(response, offset, blob) : offset;
    checkLength(response, skip, offset, blob);
    await copyBody(response, skip, ingest, options);
  } catch (error) {
    response.discard();
    throw error;
  }
  if (ingest.writtenBytes < blob.sizeBytes) throw tooShort(blob, ingest.writtenBytes, true);
}

/** @param isPassing Whether the server may send the rest when it is asked again. */
function tooShort(blob: BlobKey, actualBytes: number, isPassing: boolean): HearthError {
  const { digest, sizeBytes } = blob;
  return new HearthError(
    'SIZE_MISMATCH',
    `${digest} should have ${sizeBytes} bytes, the registry sent ${actualBytes}`,
    {
      hint: 'Pull the image again; if it repeats, the registry holds a damaged blob.',
      details: { digest, expectedBytes: sizeBytes, actualBytes, isPassing },
    },
  );
}

async function requestFrom(
  session: Session,
  blob: BlobKey,
  offset: number,
  signal: AbortSignal,
): Promise<HttpResponse> {
  try {
    return await session.request({
      method: 'GET',
      path: `blobs/${blob.digest}`,
      headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
      wanted: 'blob',
      signal,
    });
  } catch (error) {
    const isBeyondEnd = HearthError.is(error) && error.details.status === HTTP_RANGE_NOT_SATISFIABLE;
    throw isBeyondEnd ? tooShort(blob, offset, false) : error;
  }
}

/** Compares Content-Range with what was asked for. Returns how many bytes at the start are to be dropped: none. */
function checkRange(response: HttpResponse, offset: number, blob: BlobKey): number {
  const value = response.header('content-range') ?? '';
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(value.trim());
  const isRight =
    match !== null &&
    Number(match[1]) === offset &&
    (match[3] === '*' || Number(match[3]) === blob.sizeBytes);
  if (isRight) return 0;
  throw responseInvalid(
    response.url,
    `asked for bytes ${offset}- of ${blob.sizeBytes}, got ${JSON.stringify(value)}`,
    {
      offset,
      contentRange: value.slice(0, 100),
    },
  );
}

/** Refuses, before its body is read, a response that cannot be the blob. */
function checkLength(response: HttpResponse, skip: number, offset: number, blob: BlobKey): void {
  if (response.header('content-encoding') !== undefined) {
    throw responseInvalid(response.url, 'the blob is encoded although that was not asked for');
  }
  const length = response.header('content-length');
  if (length === undefined) return;
  const totalBytes = offset - skip + Number(length);
  if (totalBytes === blob.sizeBytes) return;
  assertNotHtml(response, new Uint8Array());
  // A range may be served in pieces; a whole blob may not.
  if (totalBytes < blob.sizeBytes && response.status === HTTP_PARTIAL_CONTENT) return;
  if (totalBytes < blob.sizeBytes) throw tooShort(blob, totalBytes, true);
  throw new HearthError(
    'SIZE_MISMATCH',
    `${blob.digest} should have ${blob.sizeBytes} bytes, ${response.url.host} offers ${totalBytes}`,
    {
      hint: 'Pull the image again; if it repeats, the registry or a proxy is serving altered content.',
      details: { digest: blob.digest, expectedBytes: blob.sizeBytes, actualBytes: totalBytes },
    },
  );
}

/** Writes the body as it arrives; while one write is under way the next chunks gather. */
async function copyBody(
  response: HttpResponse,
  skipBytes: number,
  ingest: Ingest,
  options: TransferOptions,
): Promise<void> {
  const pace = new Pace(options.limits);
  let skip = skipBytes;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  let writing: Promise<void> | undefined;
  let failure: unknown;
  const flush = (): void => {
    const chunks = pending;
    pending = [];
    pendingBytes = 0;
    writing = ingest.write(chunks).then(
      () => {
        writing = undefined;
        options.onWritten(ingest.writtenBytes);
        if (pendingBytes > 0) flush();
      },
      (error: unknown) => {
        writing = undefined;
        failure = error;
      },
    );
  };
  try {
    for await (const chunk of response.chunks()) {
      if (failure !== undefined) throw failure;
      if (!pace.isFastEnough(chunk.byteLength)) throw registryTimeout(response.url, 'to send the blob');
      // A server without ranges sends everything again; what is there already has been hashed and is kept.
      const fresh = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.byteLength));
      skip -= Math.min(skip, chunk.byteLength);
      if (fresh.byteLength === 0) continue;
      pending.push(fresh);
      pendingBytes += fresh.byteLength;
      if (writing === undefined) flush();
      else if (pendingBytes >= MAX_PENDING_BYTES) await writing;
    }
  } finally {
    while (writing !== undefined) await writing;
  }
  if (failure !== undefined) throw failure;
}

/** Watches the rate of arrival over a window of time. */
class Pace {
  readonly #limits: RegistryLimits;
  #sinceMs = performance.now();
  #bytes = 0;

  constructor(limits: RegistryLimits) {
    this.#limits = limits;
  }

  isFastEnough(byteLength: number): boolean {
    this.#bytes += byteLength;
    const elapsedMs = performance.now() - this.#sinceMs;
    if (elapsedMs < this.#limits.rateWindowMs) return true;
    const isEnough = this.#bytes >= (this.#limits.minBytesPerSecond * elapsedMs) / 1000;
    this.#sinceMs += elapsedMs;
    this.#bytes = 0;
    return isEnough;
  }
}
