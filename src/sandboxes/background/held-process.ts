/**
 * A detached command that hearth listens to on behalf of whoever comes and goes: its output is kept, its end is
 * noticed. When the channel is lost it is taken up again where its output was left, also by the next process that
 * owns the sandbox.
 */
import type { GuestProcess } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import type { Sandbox } from '../sandbox.js';
import type { SandboxExecSpec } from '../sandbox-exec.js';
import { OutputRing } from './output-ring.js';

/** Names a command for as long as its guest's kernel runs. */
export interface ProcessKey {
  readonly bootId: string;
  readonly execId: number;
  readonly pid: number;
}

export interface ProcessEnd {
  readonly at: string;
  /** Null: its VM ended, or nobody saw how it ended. */
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** Whose commands they are. */
export interface ProcessOwner {
  readonly sandbox: Sandbox;
  /** Writes down what has changed. */
  save(): Promise<void>;
}

/** Kept of each of stdout and stderr, by the guest and by this process. */
export const RING_BYTES = 1024 * 1024;

export class HeldProcess {
  readonly key: ProcessKey;
  readonly stdout = new OutputRing(RING_BYTES);
  readonly stderr = new OutputRing(RING_BYTES);
  readonly #sandbox: Sandbox;
  readonly #takesInput: boolean;
  readonly #onEnd: (end: ProcessEnd) => void;
  #process: GuestProcess | undefined;
  #attaching: Promise<void> | undefined;
  #end: ProcessEnd | undefined;
  #isReleased = false;
  #waiting: (() => void)[] = [];

  private constructor(
    sandbox: Sandbox,
    key: ProcessKey,
    takesInput: boolean,
    onEnd: (end: ProcessEnd) => void,
  ) {
    this.#sandbox = sandbox;
    this.key = key;
    this.#takesInput = takesInput;
    this.#onEnd = onEnd;
  }

  /** Starts a command. @throws {HearthError} those of `Sandbox.exec`, and what keeps it from starting. */
  static async start(
    sandbox: Sandbox,
    spec: SandboxExecSpec,
    options: { readonly signal?: AbortSignal; readonly onEnd: (end: ProcessEnd) => void },
  ): Promise<HeldProcess> {
    options.signal?.throwIfAborted();
    const { bootId } = (await sandbox.agent()).info;
    const process = await sandbox.exec({ ...spec, detached: { ringBytes: RING_BYTES } });
    const { execId, pid } = await process.started;
    const takesInput = spec.stdin === true || spec.terminal !== undefined;
    const held = new HeldProcess(sandbox, { bootId, execId, pid }, takesInput, options.onEnd);
    held.#follow(process);
    return held;
  }

  /** One that was started before; `attach` takes it up. */
  static known(
    sandbox: Sandbox,
    key: ProcessKey,
    takesInput: boolean,
    onEnd: (end: ProcessEnd) => void,
  ): HeldProcess {
    return new HeldProcess(sandbox, key, takesInput, onEnd);
  }

  /** How it ended, once it has. */
  get end(): ProcessEnd | undefined {
    return this.#end;
  }

  /** Takes it up where its output was left, when the channel was lost. Does nothing when it has ended. */
  async attach(): Promise<void> {
    if (this.#process !== undefined || this.#end !== undefined || this.#isReleased) return;
    this.#attaching ??= this.#takeUp().finally(() => {
      this.#attaching = undefined;
    });
    await this.#attaching;
  }

  async #takeUp(): Promise<void> {
    const { record } = this.#sandbox;
    if (record.state !== 'running' && record.state !== 'paused') return this.#ended(null, null);
    if (record.state === 'paused') return;
    const { info } = await this.#sandbox.agent();
    if (info.bootId !== this.key.bootId) return this.#ended(null, null);
    const cursors = { stdout: this.stdout.end, stderr: this.stderr.end };
    const process = await this.#sandbox.attach(this.key.execId, cursors, { stdin: this.#takesInput });
    try {
      const { stdoutCursor, stderrCursor } = await process.started;
      this.stdout.skipTo(stdoutCursor);
      this.stderr.skipTo(stderrCursor);
    } catch (error) {
      if (HearthError.is(error) && error.code === 'EXEC_UNKNOWN') return this.#ended(null, null);
      throw error;
    }
    this.#follow(process);
  }

  #follow(process: GuestProcess): void {
    this.#process = process;
    const drained = Promise.all([
      this.#drain(process.stdout, this.stdout),
      this.#drain(process.stderr, this.stderr),
    ]);
    void process.exited.then(
      async ({ exitCode, signal }) => {
        await drained;
        this.#ended(exitCode, signal ?? null);
      },
      (error: unknown) => {
        this.#process = undefined;
        const isGone =
          HearthError.is(error) && (error.code === 'VM_EXITED' || error.code === 'SANDBOX_STOPPED');
        if (isGone && !this.#isReleased) this.#ended(null, null);
        else this.#wake();
      },
    );
  }

  async #drain(from: AsyncIterable<unknown>, to: OutputRing): Promise<void> {
    try {
      for await (const chunk of from) {
        to.append(chunk as Uint8Array);
        this.#wake();
      }
    } catch {
      // The command's own end says why.
    }
  }

  #ended(exitCode: number | null, signal: string | null): void {
    if (this.#end !== undefined) return;
    this.#process = undefined;
    this.#end = { at: new Date().toISOString(), exitCode, signal };
    this.#wake();
    this.#onEnd(this.#end);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves at the next output or the end, after `timeoutMs`, or when `signal` aborts; never rejects. */
  async changed(timeoutMs: number, signal?: AbortSignal): Promise<'changed' | 'same'> {
    if (signal?.aborted === true) return 'same';
    return await new Promise((resolve) => {
      const settle = (outcome: 'changed' | 'same') => (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#waiting = this.#waiting.filter((one) => one !== onChange);
        resolve(outcome);
      };
      const onChange = settle('changed');
      const onAbort = settle('same');
      const timer = setTimeout(onAbort, timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(onChange);
    });
  }

  /** Resolves with true once it has ended, with false after `timeoutMs`. */
  async waitForEnd(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#end === undefined && signal?.aborted !== true) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await this.changed(leftMs, signal);
    }
    return this.#end !== undefined;
  }

  /**
   * Writes to its standard input; resolves when the guest has room for more.
   *
   * @throws {HearthError} `EXEC_CONFLICT` when it has ended, `AGENT_TIMEOUT` when it does not read.
   */
  async write(bytes: Uint8Array, timeoutMs: number): Promise<void> {
    await this.attach();
    const stdin = this.#process?.stdin;
    if (stdin === undefined || !stdin.writable) {
      throw new HearthError('EXEC_CONFLICT', `command ${this.key.execId} has ended and takes no input`, {
        hint: 'Read what it left, and open another one.',
        details: { execId: this.key.execId },
      });
    }
    const isBusy = (): HearthError =>
      new HearthError(
        'AGENT_TIMEOUT',
        `command ${this.key.execId} has not read its input for ${timeoutMs} ms`,
        {
          hint: 'Read its output: it may be waiting for that, or be busy with something else. Interrupt it otherwise.',
          details: { execId: this.key.execId, timeoutMs },
        },
      );
    if (stdin.writableLength > 0) throw isBusy();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(isBusy()), timeoutMs);
      stdin.write(bytes, (error) => {
        clearTimeout(timer);
        if (error instanceof Error) reject(error);
        else resolve();
      });
    });
  }

  /** Does nothing when it has ended. @throws {HearthError} those of the agent. */
  async kill(signal: NodeJS.Signals | number, target: 'group' | 'all'): Promise<void> {
    await this.attach();
    if (this.#end !== undefined) return;
    const agent = await this.#sandbox.agent();
    try {
      await agent.killExec(this.key.execId, signal, target);
    } catch (error) {
      // It has ended meanwhile.
      if (!HearthError.is(error) || error.code !== 'EXEC_UNKNOWN') throw error;
    }
  }

  /** Asks it to end, and after `graceMs` makes it; it has ended when this resolves. */
  async stop(first: NodeJS.Signals, graceMs: number, killMs: number): Promise<void> {
    await this.kill(first, 'all');
    if (await this.waitForEnd(graceMs)) return;
    await this.kill('SIGKILL', 'all');
    if (await this.waitForEnd(killMs)) return;
    throw new HearthError(
      'AGENT_TIMEOUT',
      `command ${this.key.execId} did not end ${killMs} ms after SIGKILL`,
      {
        hint: 'Stop the sandbox; its kernel may be stuck.',
        details: { execId: this.key.execId, timeoutMs: killMs },
      },
    );
  }

  /** Lets the guest drop what it keeps of it. */
  async forget(): Promise<void> {
    const { record } = this.#sandbox;
    if (this.#end === undefined || record.state !== 'running') return;
    const agent = await this.#sandbox.agent();
    if (agent.info.bootId !== this.key.bootId) return;
    await agent.forgetExec(this.key.execId).catch(() => undefined);
  }

  /** Stops listening; the command goes on. */
  release(): void {
    this.#isReleased = true;
    this.#process?.abandon(new Error('no longer listened to'));
    this.#wake();
  }
}
