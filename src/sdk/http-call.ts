/** One request to the daemon: JSON there, lines of progress and one result back. */
import { type IncomingMessage, request } from 'node:http';
import { errorOfAnswer, type OutputPiece } from '../contract/index.js';
import { errnoOf, HearthError } from '../errors/index.js';

export interface HttpCall {
  readonly socketPath: string;
  readonly version: string;
  /** Path below `/v1/`. */
  readonly operation: string;
  readonly input: unknown;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: unknown) => void) | undefined;
  /** Nothing more is read until it resolves. */
  readonly onOutput?: ((piece: OutputPiece) => void | Promise<void>) | undefined;
}

export const VERSION_HEADER = 'hearth-version';
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Nobody listens any more, or has never done. */
const UNREACHABLE = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

/** @throws {HearthError} what the daemon answers; `DAEMON_UNREACHABLE`. Rejects with `signal.reason`. */
export async function httpCall(call: HttpCall): Promise<unknown> {
  call.signal?.throwIfAborted();
  try {
    const response = await send(call);
    return await readAnswer(response, call);
  } catch (error) {
    call.signal?.throwIfAborted();
    throw unreachable(error, call.socketPath);
  }
}

/** An error of the connection as `DAEMON_UNREACHABLE`; any other as it is. */
export function unreachable(error: unknown, socketPath: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined || !UNREACHABLE.has(errno)) return error;
  return new HearthError('DAEMON_UNREACHABLE', `no answer from the hearth daemon (${errno})`, {
    hint: 'Run the same command again, which starts it; its log is daemon.log in the state directory.',
    details: { socketPath, errno },
    cause: error,
  });
}

function send({
  socketPath,
  version,
  operation,
  input,
  signal,
  onProgress,
  onOutput,
}: HttpCall): Promise<IncomingMessage> {
  const body = Buffer.from(JSON.stringify(input));
  return new Promise((resolve, reject) => {
    const outgoing = request({
      socketPath,
      method: 'POST',
      path: `/v1/${operation}`,
      agent: false,
      headers: {
        host: 'hearth',
        'content-type': 'application/json',
        'content-length': body.byteLength,
        accept: (onProgress ?? onOutput) === undefined ? 'application/json' : 'application/x-ndjson',
        [VERSION_HEADER]: version,
      },
      ...(signal === undefined ? {} : { signal }),
    });
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

async function readAnswer(
  response: IncomingMessage,
  { operation, onProgress, onOutput }: HttpCall,
): Promise<unknown> {
  let rest = '';
  let answer: unknown;
  const take = async (line: string): Promise<void> => {
    if (line === '') return;
    const message: unknown = JSON.parse(line);
    if (typeof message !== 'object' || message === null) throw invalid(operation, 'a line of another form');
    if ('progress' in message) onProgress?.(message.progress);
    else if ('output' in message) await onOutput?.(outputOf(message.output, operation));
    else answer = message;
  };
  response.setEncoding('utf8');
  for await (const chunk of response) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_ANSWER_BYTES) throw invalid(operation, `more than ${MAX_ANSWER_BYTES} bytes`);
    for (const line of lines) await take(line);
  }
  await take(rest);
  const error = errorOfAnswer(answer);
  if (error !== undefined) throw error;
  if (typeof answer === 'object' && answer !== null && 'result' in answer) return answer.result;
  throw invalid(operation, 'neither result nor error');
}

function outputOf(value: unknown, operation: string): OutputPiece {
  const { stream, text, base64 } = value as Readonly<Record<string, unknown>>;
  if (stream !== 'stdout' && stream !== 'stderr') throw invalid(operation, 'output of no stream');
  const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(String(base64), 'base64');
  return { stream, bytes };
}

function invalid(operation: string, reason: string): HearthError {
  return new HearthError('DAEMON_PROTOCOL_INVALID', `${operation}: the daemon's answer has ${reason}`, {
    hint: 'Check that client and daemon are the same version of hearth: `hearth serve --stop` ends the daemon.',
    details: { operation, reason },
  });
}
