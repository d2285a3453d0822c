/** Commands of a sandbox as a program gives them and what it gets back. */
import { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { GuestProcess } from '../agent/index.js';
import { CapturedOutput, type ServiceCallOptions } from '../contract/index.js';
import type { HearthError } from '../errors/index.js';

/** The words of a command, kept exactly; or a script for `/bin/sh -c`. */
export type Command = string | readonly string[];

export interface CommandOptions {
  /** Added to the sandbox's variables; the same name replaces. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Variables that hold a secret of the sandbox: its name by theirs. */
  readonly secretEnv?: Readonly<Record<string, string>> | undefined;
  /** Default: the sandbox's. */
  readonly workdir?: string | undefined;
  /** `name|uid[:group|gid]`; default: the sandbox's. */
  readonly user?: string | undefined;
  /** Ends its process group after so many ms, exit code 124. Default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Between SIGTERM and SIGKILL at the time limit, ms; default 0. */
  readonly graceMs?: number | undefined;
  /** Most processes at once. */
  readonly pidsMax?: number | undefined;
  readonly memoryMaxBytes?: number | undefined;
  /** Aborting kills the command in the guest, and rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

export type CommandInput =
  | string
  | Uint8Array
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>;

export interface OutputEvent {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Buffer;
  /** The same as text; a character that is cut by the end of a piece comes with the next one. */
  readonly text: string;
}

export interface ExecOptions extends CommandOptions {
  /** Its standard input. Default: none, it reads from /dev/null. */
  readonly stdin?: CommandInput | undefined;
  /** How much of stdout, and of stderr, is kept; the rest is counted. Default 1 MiB. */
  readonly maxOutputBytes?: number | undefined;
  /** Is given the output while it comes; the command waits until it resolves. */
  readonly onOutput?: ((event: OutputEvent) => void | Promise<void>) | undefined;
}

/** How a command ended. A code other than 0 is a result, not an error. */
export interface ExitStatus {
  /** 124 timed out, 126 not executable, 127 not found, 128+n killed by signal n. */
  readonly exitCode: number;
  readonly signal: string | null;
  readonly timedOut: boolean;
  /** The guest's kernel killed it, or a process of it, for lack of memory. */
  readonly oomKilled: boolean;
  /** Why it was never started; with exit code 126 or 127 only. */
  readonly failure: HearthError | null;
  /** In the guest. */
  readonly durationMs: number;
}

export interface ExecResult extends ExitStatus {
  /** What was kept, as UTF-8; `bytes` has it as it is. */
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: { readonly stdout: Buffer; readonly stderr: Buffer };
  /** Of all that was written. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** More was written than was kept. */
  readonly truncated: boolean;
}

const US_PER_MS = 1000;

export function wordsOf(command: Command): readonly string[] {
  return typeof command === 'string' ? ['/bin/sh', '-c', command] : command;
}

/** Runs a command that has been started to its end. */
export async function collect(guest: GuestProcess, options: ExecOptions): Promise<ExecResult> {
  const { stdin, maxOutputBytes, onOutput } = options;
  if (stdin !== undefined) feed(guest, stdin);
  const output = new CapturedOutput(maxOutputBytes, onOutput === undefined ? undefined : eventsTo(onOutput));
  const exit = await output.follow(guest);
  const bytes = { stdout: output.stdout.bytes(), stderr: output.stderr.bytes() };
  return {
    ...exitStatus(exit),
    stdout: bytes.stdout.toString('utf8'),
    stderr: bytes.stderr.toString('utf8'),
    bytes,
    stdoutBytes: output.stdout.totalBytes,
    stderrBytes: output.stderr.totalBytes,
    truncated: output.stdout.truncated || output.stderr.truncated,
  };
}

/** Of `signal` there is none when it exited by itself. */
export function exitStatus(exit: {
  readonly exitCode: number;
  readonly signal?: string;
  readonly timedOut: boolean;
  readonly oomKilled: boolean;
  readonly failure?: HearthError;
  readonly runtimeUs: number;
}): ExitStatus {
  const { exitCode, signal, timedOut, oomKilled, failure, runtimeUs } = exit;
  return {
    exitCode,
    signal: signal ?? null,
    timedOut,
    oomKilled,
    failure: failure ?? null,
    durationMs: runtimeUs / US_PER_MS,
  };
}

/** Pieces of output with their text, characters whole. */
export function eventsTo(
  take: (event: OutputEvent) => void | Promise<void>,
): NonNullable<ServiceCallOptions['onOutput']> {
  const decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  return ({ stream, bytes: piece }) => {
    const bytes = Buffer.from(piece);
    return take({ stream, bytes, text: decoders[stream].write(bytes) });
  };
}

/** The command may end without having read its input; an input that fails ends the command. */
function feed(guest: GuestProcess, input: CommandInput): void {
  if (guest.stdin === undefined) return;
  const isWhole = typeof input === 'string' || input instanceof Uint8Array;
  const source = Readable.from(isWhole ? [Buffer.from(input as Uint8Array)] : input, { objectMode: true });
  source.once('error', (error) => guest.abandon(error));
  source.pipe(guest.stdin);
}
