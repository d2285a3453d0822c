/** The server on the standard input and output of this process. */
import type { Readable, Writable } from 'node:stream';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { CallTracker } from './call-tracker.js';
import { createMcpServer, type McpServerParts } from './mcp-server.js';

export interface ServeStdioOptions extends Omit<McpServerParts, 'calls'> {
  readonly stdin: Readable;
  /** Carries the protocol and nothing else. */
  readonly stdout: Writable;
  /** Ends the server. */
  readonly signal: AbortSignal;
  /** Something that no call can be told: a message that is not understood, a client that does not read. */
  readonly onError: (error: Error) => void;
}

const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** For calls to kill and remove what they have begun. */
const CLOSE_TIMEOUT_MS = 15_000;

/** Resolves when the client is gone or the signal aborts, and nothing of a call is left. */
export async function serveOverStdio(options: ServeStdioOptions): Promise<void> {
  const { stdin, stdout, signal, onError, ...parts } = options;
  const calls = new CallTracker();
  const transport = new StdioServerTransport(stdin, stdout, { maxBufferSize: MAX_MESSAGE_BYTES });
  const ended = new Promise<void>((resolve) => {
    for (const event of ['end', 'close', 'error']) stdin.once(event, () => resolve());
    for (const event of ['close', 'error']) stdout.once(event, () => resolve());
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const handle = serveStdio(() => createMcpServer({ ...parts, calls }), { transport, onerror: onError });
  await ended;
  await calls.close(CLOSE_TIMEOUT_MS);
  await handle.close();
}
