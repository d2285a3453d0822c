/** A `hearth serve` of a test, on a HEARTH_HOME of its own or the shared one, and raw requests to it. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { CLI, cliEnvironment } from './cli.js';

export interface RunningDaemon extends AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  readonly socketPath: string;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  readonly stderr: () => string;
}

/** Resolves once it serves, or has ended. */
export async function serve(home: string, ...args: string[]): Promise<RunningDaemon> {
  const child = spawn(process.execPath, [CLI, 'serve', ...args], { env: cliEnvironment({ home }) });
  let stderr = '';
  const ended = once(child, 'close').then(([code]) => code as number | null);
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      if (stderr.includes(' serves ')) resolve();
    });
    void ended.then(() => resolve());
  });
  return {
    child,
    socketPath: `${home}/run/daemon.sock`,
    ended,
    stderr: () => stderr,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
}

export function ask(
  socketPath: string,
  method: string,
  path: string,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.once('error', reject);
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

export const JSON_HEADERS = { 'content-type': 'application/json' };

/** Sends bytes as they are; what came back until the other side closed, or until `waitMs` after the last byte. */
export async function sendRaw(socketPath: string, bytes: Buffer | string, waitMs: number): Promise<Buffer> {
  const socket = connect(socketPath);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  socket.setTimeout(waitMs, () => socket.destroy());
  socket.write(bytes);
  await once(socket, 'close');
  return Buffer.concat(chunks);
}
