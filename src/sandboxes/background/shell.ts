/** One shell of a sandbox: a program on a terminal of its own, written to and read from between calls. */
import { parseSignal } from '../parse-signal.js';
import type { SandboxExecSpec } from '../sandbox-exec.js';
import { HeldProcess, type ProcessOwner } from './held-process.js';
import { incompleteCharacter, plainText } from './plain-text.js';
import type { ShellRecord } from './process-records.js';

export interface ShellInfo {
  /** Its number in the sandbox. */
  readonly shell: number;
  readonly argv: readonly string[];
  readonly pid: number;
  readonly startedAt: string;
  readonly rows: number;
  readonly columns: number;
  readonly running: boolean;
  readonly exitCode: number | null;
  readonly signal: string | null;
}

export interface ShellSpec extends Pick<SandboxExecSpec, 'argv' | 'env' | 'workdir' | 'user'> {
  readonly rows: number;
  readonly columns: number;
}

export interface ReadShellOptions {
  /** Default: the oldest byte that is kept. */
  readonly cursor?: number | undefined;
  readonly maxBytes: number;
  /** Only what a person would see: no colours or movements of the cursor. */
  readonly plain: boolean;
  /** Wait until nothing has been written for so long. 0: do not wait. */
  readonly waitForIdleMs: number;
  /** The longest wait. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ShellOutput {
  readonly output: string;
  /** For the next call, which gives what came after. */
  readonly cursor: number;
  /** Between what was asked for and the output: no longer kept. */
  readonly lostBytes: number;
  /** There is more by now. */
  readonly truncated: boolean;
  /** Nothing has been written for the time asked for. */
  readonly idle: boolean;
  readonly running: boolean;
  readonly exitCode: number | null;
}

const WRITE_TIMEOUT_MS = 10_000;
const HANGUP_GRACE_MS = 2000;
const KILL_TIMEOUT_MS = 10_000;
/** What a terminal turns these keys into reaches the job in the foreground, as for a person. */
const KEYS = new Map([
  [parseSignal('INT'), '\x03'],
  [parseSignal('QUIT'), '\x1c'],
  [parseSignal('TSTP'), '\x1a'],
]);

export class Shell {
  readonly record: ShellRecord;
  readonly held: HeldProcess;

  private constructor(record: ShellRecord, held: HeldProcess) {
    this.record = record;
    this.held = held;
  }

  /** @throws {HearthError} those of starting a command. */
  static async open(
    { sandbox }: ProcessOwner,
    { rows, columns, ...command }: ShellSpec,
    signal: AbortSignal | undefined,
  ): Promise<Shell> {
    const held = await HeldProcess.start(
      sandbox,
      { ...command, terminal: { rows, columns } },
      { ...(signal === undefined ? {} : { signal }), onEnd: () => {} },
    );
    const startedAt = new Date().toISOString();
    return new Shell({ argv: [...command.argv], key: held.key, startedAt, rows, columns }, held);
  }

  /** One that another process has opened. */
  static known({ sandbox }: ProcessOwner, record: ShellRecord): Shell {
    const held = HeldProcess.known(sandbox, record.key, true, () => {});
    void held.attach().catch(() => undefined);
    return new Shell(record, held);
  }

  info(): ShellInfo {
    const { key, ...record } = this.record;
    const { end } = this.held;
    return {
      ...record,
      shell: key.execId,
      pid: key.pid,
      running: end === undefined,
      exitCode: end?.exitCode ?? null,
      signal: end?.signal ?? null,
    };
  }

  /** @throws {HearthError} those of the agent; rejects with `signal.reason`. */
  async read(options: ReadShellOptions): Promise<ShellOutput> {
    const { maxBytes, plain, signal } = options;
    await this.held.attach();
    const idle = await this.#settle(options);
    signal?.throwIfAborted();
    const ring = this.held.stdout;
    const { end } = this.held;
    const from = options.cursor ?? ring.begin;
    const piece = ring.read(from, maxBytes);
    const isLast = end !== undefined && piece.next === ring.end;
    const { text, pendingBytes } = plain ? plainText(piece.bytes, isLast) : textOf(piece.bytes, isLast);
    // A piece too small for what it begins with is given as it is: the next one has to go on.
    const pending = pendingBytes < piece.bytes.byteLength ? pendingBytes : 0;
    const cursor = piece.next - pending;
    return {
      output: text,
      cursor,
      lostBytes: piece.lostBytes,
      truncated: piece.next < ring.end,
      idle,
      running: end === undefined,
      exitCode: end?.exitCode ?? null,
    };
  }

  /** Waits until nothing comes any more. @returns Whether that was so. */
  async #settle({ waitForIdleMs, timeoutMs, signal }: ReadShellOptions): Promise<boolean> {
    if (waitForIdleMs === 0) return false;
    const deadline = performance.now() + timeoutMs;
    while (this.held.end === undefined && signal?.aborted !== true) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      const waited = await this.held.changed(Math.min(leftMs, waitForIdleMs), signal);
      if (waited === 'same' && leftMs >= waitForIdleMs) return true;
    }
    return this.held.end !== undefined;
  }

  async write(input: Uint8Array): Promise<void> {
    await this.held.write(input, WRITE_TIMEOUT_MS);
  }

  async signal(name: string): Promise<void> {
    const number = parseSignal(name);
    const key = KEYS.get(number);
    if (key === undefined) await this.held.kill(number, 'all');
    else await this.held.write(Buffer.from(key), WRITE_TIMEOUT_MS);
  }

  /** Hangs up, and kills what does not end by that. */
  async close(): Promise<void> {
    await this.held.attach();
    if (this.held.end === undefined) await this.held.stop('SIGHUP', HANGUP_GRACE_MS, KILL_TIMEOUT_MS);
    await this.held.forget();
  }
}

function textOf(bytes: Buffer, isLast: boolean): { readonly text: string; readonly pendingBytes: number } {
  const pendingBytes = isLast ? 0 : incompleteCharacter(bytes);
  return { text: bytes.subarray(0, bytes.byteLength - pendingBytes).toString('utf8'), pendingBytes };
}
