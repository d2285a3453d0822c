/** The daemon's side of downloads and uploads; `contract/stream-wire.ts` has their form. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Download,
  ERROR_TRAILER,
  errorToJson,
  errorTrailer,
  HEAD_HEADER,
  headerJson,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';

/** For a client to see that its upload is refused, and to end it. */
const DISCARD_MS = 5000;

/**
 * Sends a download as fast as the client takes it.
 *
 * @returns `'ok'`, or the code of what went wrong after its head was sent. Rejects only before that.
 */
export async function sendDownload(
  response: ServerResponse,
  { head, content }: Download<unknown>,
  { mediaType, te }: { readonly mediaType: string; readonly te: string },
): Promise<string> {
  const takesTrailers = /\btrailers\b/i.test(te);
  response.once('close', () => content.destroy());
  response.writeHead(200, {
    'content-type': mediaType,
    [HEAD_HEADER]: headerJson(head),
    ...(takesTrailers ? { trailer: ERROR_TRAILER } : {}),
  });
  response.flushHeaders();
  try {
    for await (const chunk of content) {
      if (!response.write(chunk)) await drained(response);
    }
    response.end();
    return 'ok';
  } catch (error) {
    const { code } = errorToJson(error);
    if (!takesTrailers) response.destroy();
    else {
      response.addTrailers({ [ERROR_TRAILER]: errorTrailer(error) });
      response.end();
    }
    return code;
  }
}

/**
 * What the client sends; fails when it goes away before the end, and with `UPLOAD_STALLED` when it sends nothing
 * for `idleMs` while it is waited for.
 */
export async function* contentOf(request: IncomingMessage, idleMs: number): AsyncGenerator<Uint8Array> {
  const chunks = request.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const { done, value } = await within(nextOf(chunks), idleMs);
      if (done === true) return;
      yield value as Buffer;
    }
  } finally {
    // Not waited for: a client that has stalled may never let it end.
    chunks.return?.().catch(() => {});
  }
}

async function within<T>(next: Promise<T>, idleMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new HearthError('UPLOAD_STALLED', `the client sent nothing for ${Math.round(idleMs / 1000)} s`, {
          hint: 'Send the content without long pauses, or collect it in a file first.',
          details: { idleMs },
        }),
      );
    }, idleMs);
  });
  next.catch(() => {});
  try {
    return await Promise.race([next, stalled]);
  } finally {
    clearTimeout(timer);
  }
}

async function nextOf(chunks: AsyncIterator<unknown>): Promise<IteratorResult<unknown>> {
  try {
    return await chunks.next();
  } catch (error) {
    throw new HearthError('REQUEST_INVALID', 'the client went away before all of the content had come', {
      hint: 'Send all of it.',
      cause: error,
    });
  }
}

/** Lets the answer reach a client that is still sending, then closes. */
export function discardRest(request: IncomingMessage): void {
  if (request.complete) return;
  request.on('error', () => {});
  request.resume();
  const timer = setTimeout(() => request.destroy(), DISCARD_MS);
  request.once('close', () => clearTimeout(timer));
}

async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (done: () => void): void => {
      response.off('drain', onDrain);
      response.off('close', onClose);
      done();
    };
    const onDrain = (): void => settle(resolve);
    const onClose = (): void => settle(() => reject(new Error('the client went away')));
    response.on('drain', onDrain);
    response.on('close', onClose);
  });
}
