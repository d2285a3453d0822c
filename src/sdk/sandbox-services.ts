/** The services of a sandbox: named commands that go on, with a moment when they are ready. */
import type { OperationInput, OperationOutput, Service } from '../contract/index.js';
import { type Command, wordsOf } from './command.js';
import { callOptions, type ProgressOptions } from './environments.js';

export type ServiceInfo = OperationOutput<'service.start'>['service'];
export type ServiceLogs = OperationOutput<'service.logs'>;
export type StartServiceOptions = Omit<OperationInput<'service.start'>, 'sandbox' | 'name' | 'argv'> &
  ProgressOptions;
export type ServiceLogsOptions = Omit<OperationInput<'service.logs'>, 'sandbox' | 'name'>;

export class SandboxServices {
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string) {
    this.#service = service;
    this.#sandbox = sandbox;
  }

  /**
   * Starts one and waits until it is ready; it goes on when this program ends.
   *
   * @throws {HearthError} `SERVICE_EXISTS`, `SERVICE_NOT_READY`, and what keeps a command from starting.
   */
  async start(name: string, command: Command, options: StartServiceOptions = {}): Promise<ServiceInfo> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    const input = { ...wishes, ...this.#named(name), argv: wordsOf(command) };
    return (await this.#service.call('service.start', input, callOptions(options))).service;
  }

  /** By name. */
  async list(): Promise<ServiceInfo[]> {
    return (await this.#service.call('service.list', { sandbox: this.#sandbox })).services;
  }

  /** @throws {HearthError} `SERVICE_NOT_FOUND`. */
  async status(name: string): Promise<ServiceInfo> {
    return (await this.#service.call('service.status', this.#named(name))).service;
  }

  /** The end of what it wrote, or what came after the cursors of an earlier call. */
  async logs(name: string, options: ServiceLogsOptions = {}): Promise<ServiceLogs> {
    return await this.#service.call('service.logs', { ...options, ...this.#named(name) });
  }

  /** Asks it to end, and kills it after a grace. */
  async stop(name: string, options: { readonly graceMs?: number } = {}): Promise<ServiceInfo> {
    return (await this.#service.call('service.stop', { ...options, ...this.#named(name) })).service;
  }

  #named(name: string): { readonly sandbox: string; readonly name: string } {
    return { sandbox: this.#sandbox, name };
  }
}
