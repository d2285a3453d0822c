/**
 * Runs a program of the host to its end with every output, wait and size bounded.
 * For programs that live on beside us (VMMs, daemons) see `vmm/` and `daemon/`.
 */
import { spawn } from 'node:child_process';
import { errnoOf, HearthError } from '../errors/index.js';

export interface RunToolOptions {
  readonly cwd?: string;
  /** The whole environment of the program; default: ours. */
  readonly env?: NodeJS.ProcessEnv;
  /** Written to stdin, which is then closed; without it stdin is /dev/null. */
  readonly input?: string | Uint8Array;
  /** Kills the program's process group after this many ms. Default 60 s. */
  readonly timeoutMs?: number;
  /** Bytes kept of each of stdout and stderr, the last ones. Default 1 MiB. */
  readonly maxOutputBytes?: number;
  readonly signal?: AbortSignal;
  /** Called with each line of stderr, control characters and all, for progress. */
  readonly onStderrLine?: (line: string) => void;
  /** Open descriptors to hand down as 3, 4, … */
  readonly extraFds?: readonly number[];
  /** Exit codes that are results rather than failures. Default only 0. */
  readonly okExitCodes?: readonly number[];
  /** What to type when the program is missing, for example `apt-get install mmdebstrap`. */
  readonly installHint?: string;
}

export interface ToolResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_LINE_CHARS = 8 * 1024;
const SHOWN_STDERR_CHARS = 2000;

/** Keeps the last `limit` bytes of what is pushed. */
class Tail {
  readonly #chunks: Buffer[] = [];
  readonly #limit: number;
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    while (this.#bytes - (this.#chunks[0]?.byteLength ?? 0) >= this.#limit) {
      this.#bytes -= this.#chunks.shift()?.byteLength ?? 0;
    }
  }

  take(): Buffer {
    const all = Buffer.concat(this.#chunks);
    return all.subarray(Math.max(0, all.byteLength - this.#limit));
  }
}

function lineSplitter(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk.toString('utf8')).split(/\r\n|\n|\r/);
    rest = (lines.pop() ?? '').slice(-MAX_LINE_CHARS);
    for (const line of lines) onLine(line);
  };
}

/**
 * Runs `command` with `args` (never through a shell) in a process group of its own.
 *
 * @throws {HearthError} `TOOL_NOT_FOUND`, `TOOL_TIMEOUT`, or `TOOL_FAILED` with the end of stderr
 *   and `details.exitCode`; rejects with `signal.reason` when aborted. The group is dead by then.
 */
export async function runTool(
  command: string,
  args: readonly string[],
  options: RunToolOptions = {},
): Promise<ToolResult> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES, signal } = options;
  signal?.throwIfAborted();
  const stdout = new Tail(maxOutputBytes);
  const stderr = new Tail(maxOutputBytes);

  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(options.extraFds ?? [])],
    });
    let stopReason: unknown;
    const stop = (reason: unknown): void => {
      stopReason ??= reason;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // ESRCH: the group ended by itself; `close` tells.
      }
    };
    const onAbort = (): void => stop(signal?.reason);
    const timer = setTimeout(
      () =>
        stop(
          new HearthError('TOOL_TIMEOUT', `${command} did not finish within ${timeoutMs} ms`, {
            hint: 'Run the command again; if it repeats, look at the load of this machine and its network.',
            details: { command, timeoutMs },
          }),
        ),
      timeoutMs,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };

    child.on('error', (error) => {
      finish();
      reject(
        errnoOf(error) === 'ENOENT'
          ? new HearthError('TOOL_NOT_FOUND', `${command} is not installed`, {
              hint: options.installHint ?? `Install ${command} and run the same command again.`,
              details: { command },
              cause: error,
            })
          : error,
      );
    });
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    const splitter = options.onStderrLine && lineSplitter(options.onStderrLine);
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr.push(chunk);
      splitter?.(chunk);
    });
    child.stdin?.on('error', () => {
      // EPIPE: the program did not want its input; its exit code tells.
    });
    child.stdin?.end(options.input);
    child.on('close', (exitCode, exitSignal) => {
      finish();
      if (stopReason !== undefined) return reject(stopReason);
      const result = {
        exitCode: exitCode ?? -1,
        stdout: stdout.take(),
        stderr: stderr.take().toString('utf8'),
      };
      if (exitCode !== null && (options.okExitCodes ?? [0]).includes(exitCode)) return resolve(result);
      const how = exitCode === null ? `was killed by ${exitSignal}` : `failed with exit code ${exitCode}`;
      const said = result.stderr.trim().slice(-SHOWN_STDERR_CHARS);
      return reject(
        new HearthError('TOOL_FAILED', `${command} ${how}${said === '' ? '' : `: ${said}`}`, {
          details: { command, exitCode, signal: exitSignal, stderr: said },
        }),
      );
    });
  });
}
