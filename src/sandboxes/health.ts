/**
 * Whether running sandboxes answer. A VM can hang without ending (its process stopped, its kernel stuck, its agent
 * silent); nothing is done about it but to say so, because only its user knows what it is worth.
 */
import type { AgentClient } from '../agent/index.js';
import type { SandboxInfo } from './sandbox-record.js';
import type { SandboxState } from './sandbox-state.js';

type SandboxHealth = SandboxInfo['health'];

/** What is watched; `Sandbox` is one. */
export interface Watched {
  readonly record: { readonly state: SandboxState };
  agent(options: { readonly signal: AbortSignal }): Promise<AgentClient>;
}

export interface HealthWatchOptions {
  /** Between two pings of one sandbox. */
  readonly everyMs: number;
  /** For an answer, also for connecting anew. */
  readonly answerMs: number;
}

/** A sandbox that hangs is `unresponsive` after at most 20 s. One ping is 9 bytes each way. */
const DEFAULTS: HealthWatchOptions = { everyMs: 5000, answerMs: 15_000 };

export class HealthWatch {
  readonly #sandboxes: () => Iterable<Watched>;
  readonly #answerMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #health = new WeakMap<Watched, SandboxHealth>();
  /** Asked and not heard of yet: there is never more than one ping of a sandbox under way. */
  readonly #asked = new Set<Watched>();
  readonly #closing = new AbortController();

  constructor(sandboxes: () => Iterable<Watched>, options: Partial<HealthWatchOptions> = {}) {
    const { everyMs, answerMs } = { ...DEFAULTS, ...options };
    this.#sandboxes = sandboxes;
    this.#answerMs = answerMs;
    this.#timer = setInterval(() => this.#look(), everyMs).unref();
  }

  of(sandbox: Watched): SandboxHealth {
    return sandbox.record.state === 'running' ? (this.#health.get(sandbox) ?? null) : null;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#closing.abort();
  }

  #look(): void {
    for (const sandbox of this.#sandboxes()) {
      if (sandbox.record.state !== 'running') this.#health.delete(sandbox);
      else if (!this.#asked.has(sandbox)) void this.#ask(sandbox);
    }
  }

  async #ask(sandbox: Watched): Promise<void> {
    this.#asked.add(sandbox);
    try {
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#answerMs)]);
      const agent = await sandbox.agent({ signal });
      await agent.ping({ signal, timeoutMs: this.#answerMs });
      this.#health.set(sandbox, 'responsive');
    } catch {
      // Whatever the reason: nobody can use it now. What has ended meanwhile is not running any more.
      this.#health.set(sandbox, 'unresponsive');
    } finally {
      this.#asked.delete(sandbox);
    }
  }
}
