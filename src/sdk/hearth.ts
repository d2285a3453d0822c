/** hearth as a program uses it. */

import { Environments } from './environments.js';
import type { HearthMode, HearthOptions, OpenedService } from './open-service.js';
import { openService } from './open-service.js';
import { type RunOptions, type RunResult, runInFreshVm } from './run.js';
import { Sandboxes } from './sandboxes.js';

export class Hearth implements AsyncDisposable {
  readonly mode: HearthMode;
  readonly sandboxes: Sandboxes;
  readonly environments: Environments;
  readonly #opened: OpenedService;

  private constructor(opened: OpenedService) {
    this.#opened = opened;
    this.mode = opened.mode;
    this.sandboxes = new Sandboxes(opened.service);
    this.environments = new Environments(opened.service);
  }

  /**
   * @throws {HearthError} `DAEMON_UNREACHABLE`, `DAEMON_INSECURE`, `DAEMON_VERSION_MISMATCH`; in-process
   *   `STORE_LOCKED` when a daemon or another program has the sandboxes.
   */
  static async open(options: HearthOptions = {}): Promise<Hearth> {
    return new Hearth(await openService(options));
  }

  /**
   * Runs a command in a fresh VM that is gone afterwards. A non-zero exit code is a result, not an error.
   *
   * @throws {HearthError} `ENVIRONMENT_NOT_FOUND`, what pulling and booting throw. Rejects with `signal.reason`.
   */
  async run(options: RunOptions): Promise<RunResult> {
    return await runInFreshVm(this.#opened.service, options);
  }

  /** Ends the use of it. In-process, the sandboxes are shut down, or run on for the next one who opens them. */
  async close({ sandboxes = 'stop' }: { readonly sandboxes?: 'keep' | 'stop' } = {}): Promise<void> {
    await this.#opened.close(sandboxes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
