/** What goes on in a sandbox: commands and calls that keep it from being idle, told of in the sandbox's words. */
import type { AgentClient, ExecRecord, GuestProcess } from '../agent/index.js';
import { explained } from './sandbox-exec.js';
import type { SandboxVm } from './sandbox-vm.js';

interface CallOptions {
  readonly signal?: AbortSignal;
}

export class Activity {
  readonly #explain: (vm: SandboxVm, error: unknown) => Promise<unknown>;
  #active = 0;
  #lastAt = performance.now();

  /** @param explain Puts an error of the channel into the sandbox's words. */
  constructor(explain: (vm: SandboxVm, error: unknown) => Promise<unknown>) {
    this.#explain = explain;
  }

  touch(): void {
    this.#lastAt = performance.now();
  }

  async use<T>(
    vm: SandboxVm,
    body: (agent: AgentClient) => Promise<T>,
    options: CallOptions = {},
  ): Promise<T> {
    this.#active += 1;
    try {
      return await body(await vm.agent(options));
    } catch (error) {
      throw await this.#explain(vm, error);
    } finally {
      this.#over();
    }
  }

  /** @param running Called when the first piece is asked for. */
  async *stream<T>(
    running: () => SandboxVm,
    open: (agent: AgentClient) => AsyncIterable<T>,
    options: CallOptions = {},
  ): AsyncGenerator<T, void, undefined> {
    const vm = running();
    this.#active += 1;
    try {
      yield* open(await vm.agent(options));
    } catch (error) {
      throw await this.#explain(vm, error);
    } finally {
      this.#over();
    }
  }

  /** Counts the command as an activity until it has ended. */
  follow(vm: SandboxVm, guest: GuestProcess): GuestProcess {
    this.#active += 1;
    const process = explained(guest, (error) => this.#explain(vm, error));
    const over = (): void => this.#over();
    process.exited.then(over, over);
    return process;
  }

  /** Ms for which nothing has gone on; 0 while something does. The guest is asked only when it would matter. */
  async idleMs(limitMs: number, execs: () => Promise<readonly ExecRecord[]>): Promise<number> {
    if (this.#active > 0) return 0;
    const idleMs = performance.now() - this.#lastAt;
    if (idleMs < limitMs) return idleMs;
    // A detached command counts too.
    const known = await execs().catch(() => []);
    if (!known.some(({ running }) => running)) return idleMs;
    this.touch();
    return 0;
  }

  #over(): void {
    this.#active -= 1;
    this.touch();
  }
}
