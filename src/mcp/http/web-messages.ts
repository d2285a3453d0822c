/** Between Node's requests and answers and the web's, which the protocol library takes and gives. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HearthError } from '../../errors/index.js';

export interface BodyLimits {
  readonly maxBytes: number;
  /** For the whole body to come. */
  readonly timeoutMs: number;
}

/**
 * The request with its whole body.
 *
 * @param signal Aborts when whoever asks is gone.
 * @throws {HearthError} `REQUEST_TOO_LARGE`.
 */
export async function webRequest(
  request: IncomingMessage,
  signal: AbortSignal,
  limits: BodyLimits,
): Promise<Request> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  // What is behind the guard needs the token no more.
  headers.delete('authorization');
  const method = request.method ?? 'GET';
  const body = method === 'POST' ? await readWhole(request, limits) : null;
  // The host is of no meaning here: it has been checked, and nothing looks at it again.
  return new Request(new URL(request.url ?? '/', 'http://localhost'), { method, headers, body, signal });
}

async function readWhole(
  request: IncomingMessage,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  const timer = setTimeout(() => request.destroy(), timeoutMs);
  try {
    const chunks: Buffer[] = [];
    let totalBytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      totalBytes += chunk.byteLength;
      if (totalBytes > maxBytes) {
        throw new HearthError('REQUEST_TOO_LARGE', `the request has more than ${maxBytes} bytes`, {
          hint: 'Send less in one call.',
          details: { maxBytes },
        });
      }
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves when all of it has been sent, or whoever asked is gone. */
export async function sendWebResponse(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (answer.body === null) {
    response.end();
    return;
  }
  response.flushHeaders();
  // A client that goes away in the middle is no error: its call hears of it by the request's signal.
  await pipeline(Readable.fromWeb(answer.body), response).catch(() => response.destroy());
}
