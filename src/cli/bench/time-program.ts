/** Whole processes by the clock: from spawn until the process is gone and its output is closed. */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HearthError } from '../../errors/index.js';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

export interface TimeProgramOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly input?: Readable;
}

const SHOWN_STDERR_CHARS = 300;
const MAX_STDERR_BYTES = 64 * 1024;

/** ms. @throws {HearthError} `TOOL_NOT_FOUND`; `TOOL_FAILED` for another exit code than 0, `TOOL_TIMEOUT`. */
export async function timeProgram(
  { command, args }: Program,
  { signal, timeoutMs, input }: TimeProgramOptions,
): Promise<number> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const startedAt = performance.now();
  const child = spawn(command, args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'pipe'],
    signal: AbortSignal.any([signal, deadline]),
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    if (stderr.length < MAX_STDERR_BYTES) stderr += chunk.toString('utf8');
  });
  const details = { command, args };
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).catch((error: unknown) => {
    signal.throwIfAborted();
    const isSlow = deadline.aborted;
    throw new HearthError(
      isSlow ? 'TOOL_TIMEOUT' : 'TOOL_NOT_FOUND',
      isSlow ? `${command} takes more than ${timeoutMs} ms` : `${command} cannot be started`,
      { details, cause: error },
    );
  });
  if (input !== undefined && child.stdin !== null) {
    // The end of the program says more than that it no longer reads.
    pipeline(input, child.stdin).catch(() => {});
  }
  const exitCode = await ended;
  if (exitCode === 0) return performance.now() - startedAt;
  const lastLine = stderr.trim().split('\n').at(-1)?.slice(0, SHOWN_STDERR_CHARS) ?? '';
  throw new HearthError('TOOL_FAILED', `${command} ends with exit code ${exitCode}: ${lastLine}`, {
    details: { ...details, exitCode },
  });
}
