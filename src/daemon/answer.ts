/**
 * The answer to a request: one JSON document, or, for who asks for it, what happens on the way as lines of JSON
 * (`application/x-ndjson`) or as server-sent events (`text/event-stream`).
 *
 * Server-sent events: WHATWG HTML, section 9.2.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { encodeBytes, wholeCharacters } from '../bytes/index.js';
import type { OutputPiece } from '../contract/index.js';
import { ERROR_KINDS, type HearthErrorJson } from '../errors/index.js';

type Form = 'json' | 'lines' | 'events';
type Stream = OutputPiece['stream'];

const CONTENT_TYPES = {
  json: 'application/json',
  lines: 'application/x-ndjson',
  events: 'text/event-stream',
} as const satisfies Record<Form, string>;

export class Answer {
  readonly #response: ServerResponse;
  readonly #form: Form;
  /** Beginnings of characters whose ends have not come yet. */
  readonly #cut: Record<Stream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

  constructor({ headers: { accept = '' } }: IncomingMessage, response: ServerResponse) {
    this.#response = response;
    this.#form = /\btext\/event-stream\b/.test(accept)
      ? 'events'
      : /\bapplication\/x-ndjson\b/.test(accept)
        ? 'lines'
        : 'json';
  }

  /** Whether anybody wants to know what happens on the way. */
  get tellsMore(): boolean {
    return this.#form !== 'json';
  }

  progress(progress: object): void {
    this.#begin();
    // A client that does not read may miss steps, never output or the result.
    if (!this.#response.writableNeedDrain) this.#write('progress', progress);
  }

  /** Resolves when the client has room for more, or is gone. */
  async output({ stream, bytes }: OutputPiece): Promise<void> {
    const all = Buffer.concat([this.#cut[stream], bytes]);
    const whole = wholeCharacters(all);
    this.#cut[stream] = Buffer.from(all.subarray(whole));
    this.#piece(stream, all.subarray(0, whole));
    const response = this.#response;
    if (!response.writableNeedDrain || response.destroyed) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        response.off('drain', go);
        response.off('close', go);
        resolve();
      };
      response.on('drain', go);
      response.on('close', go);
    });
  }

  result(result: unknown): void {
    if (this.#response.destroyed) return;
    if (this.#form !== 'events' && !this.#response.headersSent) {
      finishJson(this.#response, 200, { result });
      return;
    }
    this.#begin();
    for (const stream of ['stdout', 'stderr'] as const) this.#piece(stream, this.#cut[stream]);
    this.#write('result', result);
    this.#response.end();
  }

  error(error: HearthErrorJson): void {
    if (this.#response.headersSent) {
      this.#write('error', error);
      this.#response.end();
    } else finishJson(this.#response, statusOf(error), { error });
  }

  #piece(stream: Stream, bytes: Buffer): void {
    if (bytes.byteLength === 0) return;
    const { text, encoding } = encodeBytes(bytes);
    const data = encoding === 'utf8' ? { text } : { base64: text };
    this.#begin();
    if (this.#form === 'lines') this.#write('output', { stream, ...data });
    else this.#write(stream, data);
  }

  #begin(): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, { 'content-type': CONTENT_TYPES[this.#form], 'cache-control': 'no-store' });
  }

  #write(event: string, data: unknown): void {
    if (this.#response.destroyed) return;
    // JSON has no line breaks outside of its strings, and none inside them: each is one line.
    this.#response.write(
      this.#form === 'events'
        ? `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
        : `${JSON.stringify({ [event]: data })}\n`,
    );
  }
}

/** That of its kind; a client that brings no token is told so in HTTP's own way, RFC 9110 section 15.5.2. */
export function statusOf({ code, kind }: HearthErrorJson): number {
  return code === 'DAEMON_UNAUTHORIZED' ? 401 : ERROR_KINDS[kind].httpStatus;
}

export function finishJson(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return;
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': CONTENT_TYPES.json,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
