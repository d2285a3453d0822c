/** Downloads from the daemon and uploads to it; `contract/stream-wire.ts` has their form. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import {
  ERROR_TRAILER,
  errorOfAnswer,
  HEAD_HEADER,
  headerJson,
  INPUT_HEADER,
  MAX_STREAM_HEADER_BYTES,
  parseHeaderJson,
} from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import { unreachable, VERSION_HEADER } from './http-call.js';

export interface StreamCall {
  readonly socketPath: string;
  readonly version: string;
  readonly operation: string;
  readonly input: unknown;
  readonly signal?: AbortSignal | undefined;
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** @throws {HearthError} what the daemon answers before the content; `DAEMON_UNREACHABLE`. Rejects with `signal.reason`. */
export async function httpDownload(
  call: StreamCall,
): Promise<{ readonly head: unknown; readonly content: Readable }> {
  call.signal?.throwIfAborted();
  try {
    const outgoing = open(call, { te: 'trailers' });
    const answered = answerOf(outgoing);
    outgoing.end();
    const response = await answered;
    if (response.statusCode !== 200) throw await refusal(response, call.operation);
    const head = parseHeaderJson(HEAD_HEADER, response.headers[HEAD_HEADER]);
    const content = Readable.from(contentOf(response, call), { objectMode: false });
    content.once('close', () => response.destroy());
    return { head, content };
  } catch (error) {
    call.signal?.throwIfAborted();
    throw unreachable(error, call.socketPath);
  }
}

/** Sends `content` as fast as the daemon takes it. */
export async function httpUpload(call: StreamCall, content: AsyncIterable<Uint8Array>): Promise<unknown> {
  call.signal?.throwIfAborted();
  const outgoing = open(call, {
    'transfer-encoding': 'chunked',
    // Otherwise the daemon would close amid what we send, and its answer might be lost.
    connection: 'keep-alive',
  });
  try {
    const answered = answerOf(outgoing);
    const sent = send(outgoing, content);
    sent.catch(() => {});
    // An answer that comes before the end of the content is a refusal; a content that fails, no request.
    const response = await Promise.race([answered, sent.then(() => answered)]);
    const result = await resultOf(response, call.operation);
    await sent;
    return result;
  } catch (error) {
    call.signal?.throwIfAborted();
    throw unreachable(error, call.socketPath);
  } finally {
    outgoing.destroy();
  }
}

function open(
  { socketPath, version, operation, input, signal }: StreamCall,
  headers: Readonly<Record<string, string>>,
): ClientRequest {
  return request({
    socketPath,
    method: 'POST',
    path: `/v1/${operation}`,
    agent: false,
    maxHeaderSize: MAX_STREAM_HEADER_BYTES,
    headers: { host: 'hearth', [INPUT_HEADER]: headerJson(input), [VERSION_HEADER]: version, ...headers },
    ...(signal === undefined ? {} : { signal }),
  });
}

async function answerOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.on('error', reject);
  });
}

/** Resolves when all has been sent, or nobody takes it any more. Rejects with what `content` throws. */
async function send(outgoing: ClientRequest, content: AsyncIterable<Uint8Array>): Promise<void> {
  let isOver = false;
  const over = new Promise<void>((resolve) => {
    const end = (): void => {
      isOver = true;
      resolve();
    };
    outgoing.once('response', end);
    outgoing.once('error', end);
    outgoing.once('close', end);
  });
  // A call that reaches no daemon may be made again with the same content.
  await Promise.race([connected(outgoing), over]);
  if (isOver) return;
  for await (const chunk of content) {
    if (isOver) return;
    if (!outgoing.write(chunk)) await Promise.race([drained(outgoing), over]);
  }
  if (!isOver) outgoing.end();
}

function connected(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => resolve());
      else resolve();
    });
  });
}

function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once('drain', resolve);
  });
}

async function* contentOf(response: IncomingMessage, call: StreamCall): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    call.signal?.throwIfAborted();
    throw new HearthError('DAEMON_UNREACHABLE', `${call.operation}: the daemon broke off`, {
      hint: 'Run the same command again; the log of the daemon is daemon.log in the state directory.',
      details: { operation: call.operation },
      cause: error,
    });
  }
  const trailer = response.trailers[ERROR_TRAILER];
  if (trailer === undefined) return;
  throw errorOfAnswer(parseHeaderJson(ERROR_TRAILER, trailer)) ?? invalid(call.operation);
}

async function resultOf(response: IncomingMessage, operation: string): Promise<unknown> {
  const answer = await readJson(response, operation);
  const error = errorOfAnswer(answer);
  if (error !== undefined) throw error;
  if (typeof answer === 'object' && answer !== null && 'result' in answer) return answer.result;
  throw invalid(operation);
}

async function refusal(response: IncomingMessage, operation: string): Promise<HearthError> {
  return errorOfAnswer(await readJson(response, operation)) ?? invalid(operation);
}

async function readJson(response: IncomingMessage, operation: string): Promise<unknown> {
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > MAX_ANSWER_BYTES) throw invalid(operation);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(operation);
  }
}

function invalid(operation: string): HearthError {
  return new HearthError('DAEMON_PROTOCOL_INVALID', `${operation}: the daemon's answer is not understood`, {
    hint: 'Check that client and daemon are the same version of hearth: `hearth serve --stop` ends the daemon.',
    details: { operation },
  });
}
