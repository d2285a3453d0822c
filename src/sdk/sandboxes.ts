/** The sandboxes of a user. */
import type { Service } from '../contract/index.js';
import { type CreateSandboxOptions, Sandbox } from './sandbox.js';
import type { SnapshotInfo } from './sandbox-snapshots.js';

export class Sandboxes {
  readonly #service: Service;

  /** @internal */
  constructor(service: Service) {
    this.#service = service;
  }

  /**
   * Makes a sandbox and boots it; its image is pulled first when it is not installed. `await using` removes it.
   *
   * @throws {HearthError} `SANDBOX_EXISTS`, `ENVIRONMENT_NOT_FOUND`, what pulling and booting throw. Nothing is
   *   left then, nor when it is aborted.
   */
  async create(options: CreateSandboxOptions): Promise<Sandbox> {
    return await Sandbox.made(this.#service, options);
  }

  /**
   * @param reference Name, id, or the beginning of one id.
   * @throws {HearthError} `SANDBOX_NOT_FOUND`, `SANDBOX_AMBIGUOUS`.
   */
  async get(reference: string): Promise<Sandbox> {
    const { sandbox } = await this.#service.call('sandbox.inspect', { sandbox: reference });
    return new Sandbox(this.#service, sandbox, { removesOnDispose: false });
  }

  /** The snapshots of all of them, oldest first. */
  async snapshots(): Promise<SnapshotInfo[]> {
    return (await this.#service.call('snapshot.list', {})).snapshots;
  }

  /** Oldest first. */
  async list(): Promise<Sandbox[]> {
    const { sandboxes } = await this.#service.call('sandbox.list', {});
    return sandboxes.map((info) => new Sandbox(this.#service, info, { removesOnDispose: false }));
  }
}
