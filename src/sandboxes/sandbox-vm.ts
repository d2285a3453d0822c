/** The VM of a sandbox while it runs: the process and the conversation with its agent, which may be taken up again. */
import { type AgentClient, connectAgent } from '../agent/index.js';
import { HearthError } from '../errors/index.js';
import { type DetachedVm, exitError, type GuestEnd, type VmExit } from '../vmm/index.js';

export type SandboxVmExit = VmExit & { readonly guestEnd: GuestEnd | undefined };

const SHOWN_CONSOLE_BYTES = 2048;
/** How long the end of the VM may come after the end of its channel. */
const EXIT_LAG_MS = 1500;
const RECONNECT_TIMEOUT_MS = 15_000;

/** What every new conversation with the agent begins with. */
export type OnAgent = (agent: AgentClient) => Promise<void>;

export class SandboxVm {
  readonly vm: DetachedVm;
  readonly #onAgent: OnAgent;
  #agent: AgentClient | undefined;
  #connecting: Promise<AgentClient> | undefined;
  #exit: SandboxVmExit | undefined;

  constructor(vm: DetachedVm, onAgent: OnAgent) {
    this.vm = vm;
    this.#onAgent = onAgent;
    void vm.exited.then((exit) => {
      this.#exit = exit;
    });
  }

  /**
   * The agent; connects to it when the channel has closed or was never open.
   *
   * @throws {HearthError} `VM_EXITED`, `AGENT_TIMEOUT`, `AGENT_DISCONNECTED`, `AGENT_PROTOCOL_INVALID`, and
   *   what the beginning of a conversation throws.
   */
  async agent(
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<AgentClient> {
    if (this.#agent !== undefined) return this.#agent;
    this.#connecting ??= this.#connect(options).finally(() => {
      this.#connecting = undefined;
    });
    return await this.#connecting;
  }

  /** Lets it go on where somebody who was saving it left it standing still. */
  async wake(): Promise<void> {
    await this.vm.resume();
    void this.agent()
      .then((agent) => agent.allProcesses('go on'))
      .catch(() => undefined);
  }

  /** What to throw in the place of an error of the channel: the end of the VM when that is behind it. */
  async explain(error: unknown): Promise<unknown> {
    if (!HearthError.is(error) || error.code !== 'AGENT_DISCONNECTED') return error;
    const exit = this.#exit ?? (await this.#exitSoon());
    return exit === undefined ? error : this.exitError(exit);
  }

  exitError(exit: SandboxVmExit): HearthError {
    const console = this.vm.consoleTail(SHOWN_CONSOLE_BYTES);
    const { code, message, hint, details } = exitError(exit, console);
    return new HearthError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      details: { ...details, ...(exit.guestEnd === undefined ? {} : { guestEnd: exit.guestEnd }) },
    });
  }

  /** Ends the conversation; the VM and its detached commands run on. */
  async release(): Promise<void> {
    this.#agent?.close();
    await this.vm.release();
  }

  async #connect({
    timeoutMs = RECONNECT_TIMEOUT_MS,
    signal,
  }: {
    readonly timeoutMs?: number;
    readonly signal?: AbortSignal;
  }): Promise<AgentClient> {
    const passed = signal === undefined ? {} : { signal };
    try {
      const agent = await connectAgent(await this.vm.openChannel(passed), { timeoutMs, ...passed });
      await this.#onAgent(agent).catch((error: unknown) => {
        agent.close();
        throw error;
      });
      this.#agent = agent;
      void agent.closed.then(() => {
        if (this.#agent === agent) this.#agent = undefined;
      });
      return agent;
    } catch (error) {
      const channelEnded = HearthError.is(error) && error.code === 'VMM_REQUEST_FAILED';
      throw channelEnded && this.#exit !== undefined ? this.exitError(this.#exit) : await this.explain(error);
    }
  }

  async #exitSoon(): Promise<SandboxVmExit | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), EXIT_LAG_MS);
    });
    const exit = await Promise.race([this.vm.exited, limit]);
    clearTimeout(timer);
    return exit;
  }
}
