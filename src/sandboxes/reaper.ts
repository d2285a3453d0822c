/** Ends sandboxes whose time is up. Counts by the monotonic clock: a step of the host's clock ends nothing. */
import type { Sandbox } from './sandbox.js';

const LOOK_MS = 1000;

export interface ReaperActions {
  /** Its lifetime is over. */
  readonly expired: (sandbox: Sandbox) => Promise<void>;
  /** Nothing has run in it for its idle timeout. */
  readonly idle: (sandbox: Sandbox) => Promise<void>;
}

export class Reaper {
  readonly #sandboxes: () => Iterable<Sandbox>;
  readonly #actions: ReaperActions;
  readonly #timer: NodeJS.Timeout;
  /** When each is due, by `performance.now()`, with the limit that this was reckoned for. */
  readonly #due = new Map<Sandbox, { readonly ttlMs: number; readonly at: number }>();
  readonly #busy = new Set<Sandbox>();

  constructor(sandboxes: () => Iterable<Sandbox>, actions: ReaperActions) {
    this.#sandboxes = sandboxes;
    this.#actions = actions;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const all = new Set(this.#sandboxes());
    for (const known of this.#due.keys()) if (!all.has(known)) this.#due.delete(known);
    for (const sandbox of all) {
      if (this.#busy.has(sandbox)) continue;
      this.#busy.add(sandbox);
      // What fails is tried again at the next look.
      this.#judge(sandbox)
        .catch(() => {})
        .finally(() => this.#busy.delete(sandbox));
    }
  }

  async #judge(sandbox: Sandbox): Promise<void> {
    const { ttlMs, idleTimeoutMs } = sandbox.record;
    if (ttlMs !== null && performance.now() >= this.#dueAt(sandbox, ttlMs)) {
      await this.#actions.expired(sandbox);
    } else if (idleTimeoutMs !== null && (await sandbox.idleMs(idleTimeoutMs)) >= idleTimeoutMs) {
      await this.#actions.idle(sandbox);
    }
  }

  #dueAt(sandbox: Sandbox, ttlMs: number): number {
    const known = this.#due.get(sandbox);
    if (known?.ttlMs === ttlMs) return known.at;
    const ageMs = Math.max(0, Date.now() - Date.parse(sandbox.record.createdAt));
    const at = performance.now() + ttlMs - ageMs;
    this.#due.set(sandbox, { ttlMs, at });
    return at;
  }
}
