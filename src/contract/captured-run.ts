/** The output of a command that runs to its end: given on while it comes, and its first bytes kept. */
import type { GuestProcess } from '../agent/index.js';
import { BoundedBytes } from '../bytes/index.js';
import type { HearthError } from '../errors/index.js';
import type { ServiceCallOptions } from './handlers.js';

const DEFAULT_CAPTURE_BYTES = 1024 * 1024;
const US_PER_MS = 1000;

export interface CapturedEnd {
  readonly exitCode: number;
  readonly signal?: string;
  readonly timedOut: boolean;
  readonly oomKilled: boolean;
  readonly failure?: HearthError;
  readonly runtimeUs: number;
}

export class CapturedOutput {
  readonly stdout: BoundedBytes;
  readonly stderr: BoundedBytes;
  readonly #onOutput: ServiceCallOptions['onOutput'];

  /** @param maxBytes Of each of the two; default 1 MiB. */
  constructor(maxBytes: number | undefined, onOutput?: ServiceCallOptions['onOutput']) {
    this.stdout = new BoundedBytes(maxBytes ?? DEFAULT_CAPTURE_BYTES);
    this.stderr = new BoundedBytes(maxBytes ?? DEFAULT_CAPTURE_BYTES);
    this.#onOutput = onOutput;
  }

  /** Resolves when more may come. */
  async take(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void> {
    this[stream].push(bytes);
    await this.#onOutput?.({ stream, bytes });
  }

  /** Takes all that a command writes, until it has ended. */
  async follow(guest: GuestProcess): Promise<CapturedEnd> {
    const drain = async (stream: 'stdout' | 'stderr'): Promise<void> => {
      for await (const chunk of guest[stream]) await this.take(stream, chunk as Buffer);
    };
    const outputs = Promise.all([drain('stdout'), drain('stderr')]);
    // The command's own end says more than the end of its streams.
    outputs.catch((error: unknown) => guest.abandon(error));
    const exit = await guest.exited;
    await outputs;
    return exit;
  }

  answer({ exitCode, signal, timedOut, oomKilled, failure, runtimeUs }: CapturedEnd) {
    const [stdout, stderr] = [this.stdout.encoded(), this.stderr.encoded()];
    return {
      exitCode,
      signal: signal ?? null,
      timedOut,
      oomKilled,
      stdout: stdout.text,
      stdoutEncoding: stdout.encoding,
      stdoutBytes: this.stdout.totalBytes,
      stderr: stderr.text,
      stderrEncoding: stderr.encoding,
      stderrBytes: this.stderr.totalBytes,
      truncated: this.stdout.truncated || this.stderr.truncated,
      failure: failure === undefined ? null : failure.toJSON(),
      durationMs: runtimeUs / US_PER_MS,
    };
  }
}
