/** The named snapshots of a sandbox. */
import type { OperationInput, OperationOutput, Service } from '../contract/index.js';
import { callOptions, type ProgressOptions } from './environments.js';

export type SnapshotInfo = OperationOutput<'snapshot.create'>['snapshot'];
export type ForkOptions = Omit<OperationInput<'sandbox.fork'>, 'sandbox' | 'count'> & ProgressOptions;

export class SandboxSnapshots {
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string) {
    this.#service = service;
    this.#sandbox = sandbox;
  }

  /**
   * Saves memory and disk of one moment when it runs, else its disk. It goes on afterwards.
   *
   * @throws {HearthError} `SNAPSHOT_EXISTS`, `SANDBOX_STATE_CONFLICT` for a paused one.
   */
  async create(name: string, options: ProgressOptions = {}): Promise<SnapshotInfo> {
    const input = { sandbox: this.#sandbox, name };
    return (await this.#service.call('snapshot.create', input, callOptions(options))).snapshot;
  }

  /** Oldest first. */
  async list(): Promise<SnapshotInfo[]> {
    return (await this.#service.call('snapshot.list', { sandbox: this.#sandbox })).snapshots;
  }

  /** @throws {HearthError} `SNAPSHOT_NOT_FOUND`. */
  async remove(name: string): Promise<SnapshotInfo> {
    return (await this.#service.call('snapshot.remove', { sandbox: this.#sandbox, name })).snapshot;
  }
}
