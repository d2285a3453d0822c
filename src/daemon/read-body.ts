import type { IncomingMessage } from 'node:http';
import { HearthError } from '../errors/index.js';

/** The JSON of a request. @throws {HearthError} `REQUEST_TOO_LARGE`, `REQUEST_INVALID`. */
export async function readBody(
  request: IncomingMessage,
  { maxBytes, timeoutMs }: { readonly maxBytes: number; readonly timeoutMs: number },
): Promise<unknown> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new HearthError('REQUEST_INVALID', 'the request is not of type application/json', {
      hint: 'Send JSON with the header `content-type: application/json`.',
    });
  }
  const timer = setTimeout(() => request.destroy(), timeoutMs);
  const text = await readText(request, maxBytes).finally(() => clearTimeout(timer));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HearthError('REQUEST_INVALID', 'the request is not JSON', {
      hint: 'Send one JSON object.',
      cause: error,
    });
  }
}

async function readText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let totalBytes = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer;
    totalBytes += bytes.byteLength;
    if (totalBytes > maxBytes) {
      throw new HearthError('REQUEST_TOO_LARGE', `the request has more than ${maxBytes} bytes`, {
        hint: 'Send less; files go in by `file.write` and `tree.write`.',
        details: { maxBytes },
      });
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}
