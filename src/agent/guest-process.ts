/** A command that runs in the guest: its streams, its end, and what can be done to it. */
import type { Readable, Writable } from 'node:stream';
import type { HearthError } from '../errors/index.js';
import {
  DATA_TYPES,
  decodeMessage,
  ERROR,
  EXIT,
  EXIT_FLAGS,
  type ExitReport,
  type Frame,
  INITIAL_WINDOW_BYTES,
  RESIZE,
  SIGNAL,
  SIGNAL_TARGETS,
  STARTED,
  WINDOW,
} from '../protocol/index.js';
import type { AgentStream, StreamHandler } from './agent-stream.js';
import { WINDOW_BYTES } from './connection.js';
import { agentTimeout, guestError, protocolError } from './errors.js';
import { signalName, signalNumber, type TerminalSize } from './exec-spec.js';
import { addCredit, Inbound, Outbound } from './pipe-ends.js';

/** The guest ends a call at its time limit; after so much more the host stops believing that it will. */
const TIMEOUT_SLACK_MS = 15_000;

export interface ExecExit {
  /** The command's own code; 124 at the time limit, 126 not executable, 127 not found, 128+n killed by signal n. */
  readonly exitCode: number;
  /** Name of the signal that ended it. */
  readonly signal?: string;
  readonly timedOut: boolean;
  /** The guest's kernel killed it, or a process of it, for lack of memory. */
  readonly oomKilled: boolean;
  /** Why the command was never started; with exit code 126 or 127 only. */
  readonly failure?: HearthError;
  /** All that was written, whether it was read or not. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** Of that, what a detached command's ring could not keep. */
  readonly lostBytes: number;
  /** From the fork to the end in the guest, and processor time of the command and its waited-for children. */
  readonly runtimeUs: number;
  readonly userUs: number;
  readonly systemUs: number;
  readonly maxRssKib: number;
}

export interface ExecStart {
  /** Number of the command in its guest, for `attach`. */
  readonly execId: number;
  readonly pid: number;
  /** Position of the first byte that `stdout` and `stderr` give; above what was asked for when bytes are gone. */
  readonly stdoutCursor: number;
  readonly stderrCursor: number;
}

export type SignalTarget = keyof typeof SIGNAL_TARGETS;

export interface GuestProcess {
  /** Undefined unless asked for. Its end closes the command's standard input. */
  readonly stdin: Writable | undefined;
  /** Read both, or the command blocks when 128 KiB are unread. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once the command runs; rejects when it never does. */
  readonly started: Promise<ExecStart>;
  /**
   * Resolves when the command has ended and its output is delivered. Rejects with what kept it from
   * starting, with the channel's failure, or with `signal.reason`.
   */
  readonly exited: Promise<ExecExit>;
  /** Default: SIGTERM to the process group. Nothing happens when it has ended. */
  kill(signal?: NodeJS.Signals | number, target?: SignalTarget): void;
  resize(size: TerminalSize): void;
  /** Stops listening: a detached command goes on, any other is killed. `exited` rejects with the reason. */
  abandon(reason: unknown): void;
}

export interface ProcessOptions {
  readonly what: string;
  readonly stdin: boolean;
  readonly startTimeoutMs: number;
  /** The time limit that the guest enforces, in ms; 0: none. */
  readonly limitMs: number;
  readonly signal?: AbortSignal | undefined;
}

function exitOf(report: ExitReport): ExecExit {
  if (report.exitCode > 255 || report.signal > 64) {
    throw protocolError('exit status out of range', { exitCode: report.exitCode, signal: report.signal });
  }
  const timedOut = (report.flags & EXIT_FLAGS.timedOut) !== 0;
  const { flags, signal, exitCode, ...figures } = report;
  return {
    exitCode: timedOut ? 124 : signal > 0 ? 128 + signal : exitCode,
    ...(signal > 0 ? { signal: signalName(signal) } : {}),
    timedOut,
    oomKilled: (flags & EXIT_FLAGS.oomKilled) !== 0,
    ...figures,
  };
}

const NOTHING_RAN = {
  timedOut: false,
  oomKilled: false,
  stdoutBytes: 0,
  stderrBytes: 0,
  lostBytes: 0,
  runtimeUs: 0,
  userUs: 0,
  systemUs: 0,
  maxRssKib: 0,
};

export class RemoteProcess implements GuestProcess, StreamHandler {
  readonly started: Promise<ExecStart>;
  readonly exited: Promise<ExecExit>;
  readonly #outputs: readonly [Inbound, Inbound];
  readonly #input: Outbound | undefined;
  readonly #options: ProcessOptions;
  #stream: AgentStream | undefined;
  #over = false;
  #hasStarted = false;
  /** Granted for an input that another client of the command had. */
  #unusedCreditBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #resolveStarted: (start: ExecStart) => void = () => {};
  #rejectStarted: (reason: unknown) => void = () => {};
  #resolveExited: (exit: ExecExit) => void = () => {};
  #rejectExited: (reason: unknown) => void = () => {};

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.#outputs = [
      new Inbound(WINDOW_BYTES, (bytes) => this.#send((stream) => stream.grant(1, bytes))),
      new Inbound(WINDOW_BYTES, (bytes) => this.#send((stream) => stream.grant(2, bytes))),
    ];
    if (options.stdin) {
      this.#input = new Outbound(INITIAL_WINDOW_BYTES, (data) =>
        this.#send((stream) => stream.sendData(0, data)),
      );
    }
    this.started = new Promise((resolve, reject) => {
      this.#resolveStarted = resolve;
      this.#rejectStarted = reject;
    });
    this.exited = new Promise((resolve, reject) => {
      this.#resolveExited = resolve;
      this.#rejectExited = reject;
    });
    // Whoever waits for one of the two need not handle the other.
    this.started.catch(() => {});
    this.exited.catch(() => {});
  }

  get stdin(): Writable | undefined {
    return this.#input?.writable;
  }
  get stdout(): Readable {
    return this.#outputs[0].readable;
  }
  get stderr(): Readable {
    return this.#outputs[1].readable;
  }

  /** Called once, with the stream that was opened for it. */
  begin(stream: AgentStream): void {
    this.#stream = stream;
    const { signal, startTimeoutMs, what } = this.#options;
    this.#deadline(`start of ${what}`, startTimeoutMs);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.abandon(this.#options.signal?.reason);

  #send(action: (stream: AgentStream) => void): void {
    if (!this.#over && this.#stream !== undefined) action(this.#stream);
  }

  #deadline(what: string, timeoutMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.abandon(agentTimeout(what, timeoutMs)), timeoutMs);
  }

  message(frame: Frame, terminal: boolean): void {
    if (terminal) this.#finish(frame);
    else if (frame.type === DATA_TYPES[1]) this.#outputs[0].data(frame.payload);
    else if (frame.type === DATA_TYPES[2]) this.#outputs[1].data(frame.payload);
    else if (frame.type === DATA_TYPES[0] && frame.payload.byteLength === 0) this.#input?.close();
    else if (frame.type === WINDOW.type) this.#granted(frame);
    else if (frame.type === STARTED.type && !this.#hasStarted) this.#begun(frame);
    else throw protocolError('message that no command sends', { type: frame.type });
  }

  #granted(frame: Frame): void {
    const { channel, bytes } = decodeMessage(WINDOW, frame.payload);
    if (channel !== 0) throw protocolError('window for a channel of the guest', { channel });
    if (this.#input !== undefined) this.#input.grant(bytes);
    else this.#unusedCreditBytes = addCredit(this.#unusedCreditBytes, bytes);
  }

  #begun(frame: Frame): void {
    const { execId, pid, stdoutCursor, stderrCursor } = decodeMessage(STARTED, frame.payload);
    this.#hasStarted = true;
    clearTimeout(this.#timer);
    const { limitMs, what } = this.#options;
    if (limitMs > 0) this.#deadline(`end of ${what}`, limitMs + TIMEOUT_SLACK_MS);
    this.#resolveStarted({ execId, pid, stdoutCursor, stderrCursor });
  }

  #finish(frame: Frame): void {
    if (frame.type === EXIT.type) {
      const exit = exitOf(decodeMessage(EXIT, frame.payload));
      if (!this.#hasStarted) throw protocolError('end of a command that has not started');
      this.#settle();
      this.#resolveExited(exit);
      return;
    }
    if (frame.type !== ERROR.type) throw protocolError('unexpected end of a command', { type: frame.type });
    const error = guestError(this.#options.what, decodeMessage(ERROR, frame.payload));
    this.#settle();
    this.#rejectStarted(error);
    const exitCode = error.code === 'EXEC_NOT_FOUND' ? 127 : error.code === 'EXEC_NOT_EXECUTABLE' ? 126 : 0;
    if (exitCode === 0) this.#rejectExited(error);
    else this.#resolveExited({ ...NOTHING_RAN, exitCode, failure: error });
  }

  /** No message comes or goes any more. */
  #settle(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    for (const output of this.#outputs) output.end();
    this.#input?.close();
  }

  failed(error: HearthError): void {
    this.#fail(error);
  }

  #fail(reason: unknown): void {
    const error = reason instanceof Error ? reason : new Error('cancelled', { cause: reason });
    for (const output of this.#outputs) output.fail(error);
    this.#input?.fail(error);
    this.#settle();
    this.#rejectStarted(reason);
    this.#rejectExited(reason);
  }

  kill(signal: NodeJS.Signals | number = 'SIGTERM', target: SignalTarget = 'group'): void {
    const number = signalNumber(signal);
    this.#send((stream) => stream.send(SIGNAL, { signal: number, target: SIGNAL_TARGETS[target] }));
  }

  resize({ rows, columns }: TerminalSize): void {
    this.#send((stream) => stream.send(RESIZE, { rows, columns }));
  }

  abandon(reason: unknown): void {
    if (this.#over) return;
    this.#stream?.reset();
    this.#fail(reason);
  }
}
