/** A command that runs in a sandbox: its output as it comes, its input, its end. */
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import type { ExecStart, GuestProcess, TerminalSize } from '../agent/index.js';
import { HearthError } from '../errors/index.js';
import { type ExitStatus, exitStatus, type OutputEvent } from './command.js';

type StreamName = OutputEvent['stream'];

/**
 * Iterate it for the output of both streams, in the order in which it comes. Nobody reading holds the command back.
 * Leaving the iteration leaves the command as it is: `kill` it, or iterate again.
 */
export class SandboxProcess implements AsyncIterable<OutputEvent>, AsyncDisposable {
  /** Number of the command in its sandbox, for `sandbox.attach`. */
  readonly execId: number;
  /** In the guest. */
  readonly pid: number;
  readonly #guest: GuestProcess;
  readonly #events: MergedOutput;
  #isRead = false;

  /** @internal */
  private constructor(guest: GuestProcess, { execId, pid }: ExecStart) {
    this.#guest = guest;
    this.execId = execId;
    this.pid = pid;
    this.#events = new MergedOutput({ stdout: guest.stdout, stderr: guest.stderr });
  }

  /** @internal Resolves once it runs. */
  static async started(guest: GuestProcess): Promise<SandboxProcess> {
    try {
      return new SandboxProcess(guest, await guest.started);
    } catch (error) {
      // A command that is not there ends before it has started; why is in its end.
      const exit = await guest.exited.catch(() => undefined);
      throw exit?.failure ?? error;
    }
  }

  /** For those who prefer streams to iterating; do one or the other. */
  get stdout(): Readable {
    this.#isRead = true;
    return this.#guest.stdout;
  }

  get stderr(): Readable {
    this.#isRead = true;
    return this.#guest.stderr;
  }

  /** Undefined unless asked for with `stdin: true`. */
  get stdin(): Writable | undefined {
    return this.#guest.stdin;
  }

  [Symbol.asyncIterator](): AsyncIterator<OutputEvent, undefined> {
    this.#isRead = true;
    return {
      next: () => this.#events.next(),
      return: async () => ({ done: true, value: undefined }),
    };
  }

  /**
   * Writes to its standard input; resolves when more may be written. What a command that has ended does not read
   * goes nowhere, as with a closed pipe.
   *
   * @throws {HearthError} `USAGE_INVALID` when it has no standard input.
   */
  async write(data: string | Uint8Array): Promise<void> {
    const stdin = this.#stdin();
    await new Promise<void>((resolve, reject) => {
      stdin.write(data, (error) => (error == null || stdin.destroyed ? resolve() : reject(error)));
    });
  }

  /** Ends its standard input. */
  async closeStdin(): Promise<void> {
    const stdin = this.#stdin();
    stdin.end();
    await finished(stdin).catch(() => {});
  }

  /** Sends a signal to its process group; default SIGTERM. Nothing happens when it has ended. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#guest.kill(signal);
  }

  /** Of its terminal. */
  resize(size: TerminalSize): void {
    this.#guest.resize(size);
  }

  /** Stops listening: a detached command goes on, any other is killed. */
  detach(): void {
    this.#guest.abandon(new Error('it was detached'));
  }

  /**
   * How it ended. Output that nobody has begun to read when this is called is thrown away.
   *
   * @throws {HearthError} When its sandbox, or the way to it, is lost. Rejects with `signal.reason` when aborted.
   */
  async wait(): Promise<ExitStatus> {
    if (!this.#isRead) {
      this.#guest.stdout.resume();
      this.#guest.stderr.resume();
    }
    return exitStatus(await this.#guest.exited);
  }

  /** Kills it when it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#guest.abandon(new Error('it was disposed of'));
    await this.#guest.exited.catch(() => {});
  }

  #stdin(): Writable {
    const { stdin } = this.#guest;
    if (stdin !== undefined) return stdin;
    throw new HearthError('USAGE_INVALID', 'the command has no standard input', {
      hint: 'Start it with `stdin: true`.',
    });
  }
}

/** Two streams as one, one piece of each held at most. */
class MergedOutput {
  readonly #sources: Array<Source>;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(streams: Readonly<Record<StreamName, Readable>>) {
    this.#sources = (['stdout', 'stderr'] as const).map((name) => ({
      name,
      decoder: new StringDecoder('utf8'),
      iterator: streams[name].iterator({ destroyOnReturn: false }),
    }));
  }

  /** Calls that overlap are answered one after the other. */
  next(): Promise<IteratorResult<OutputEvent, undefined>> {
    const turn = this.#turn.then(() => this.#take());
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #take(): Promise<IteratorResult<OutputEvent, undefined>> {
    while (this.#sources.length > 0) {
      const asked = this.#sources.map(ask);
      const { source, result } = await Promise.race(asked);
      source.asked = undefined;
      this.#sources.splice(this.#sources.indexOf(source), 1);
      if (result.done === true) continue;
      // To the end of the line, so that one stream cannot keep the other from being heard.
      this.#sources.push(source);
      const bytes = result.value as Buffer;
      const text = source.decoder.write(bytes);
      return { done: false, value: { stream: source.name, bytes, text } };
    }
    return { done: true, value: undefined };
  }
}

interface Answer {
  readonly source: Source;
  readonly result: IteratorResult<unknown>;
}

interface Source {
  readonly name: StreamName;
  readonly decoder: StringDecoder;
  readonly iterator: AsyncIterator<unknown>;
  asked?: Promise<Answer> | undefined;
}

function ask(source: Source): Promise<Answer> {
  if (source.asked === undefined) {
    source.asked = source.iterator.next().then((result) => ({ source, result }));
    // Whoever asks for the next piece is told; until then it is nobody's.
    source.asked.catch(() => {});
  }
  return source.asked;
}
