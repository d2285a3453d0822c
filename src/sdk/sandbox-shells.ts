/** Shells of a sandbox that stay open between calls. */
import type { OperationInput, OperationOutput, Service } from '../contract/index.js';
import { callOptions, type ProgressOptions } from './environments.js';

export type ShellInfo = OperationOutput<'shell.open'>['shell'];
export type ShellOutput = OperationOutput<'shell.read'>;
export type OpenShellOptions = Omit<OperationInput<'shell.open'>, 'sandbox'> & ProgressOptions;
export type ReadShellOptions = Omit<OperationInput<'shell.read'>, 'sandbox' | 'shell'> & ProgressOptions;

export class SandboxShells {
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string) {
    this.#service = service;
    this.#sandbox = sandbox;
  }

  /** A shell on a terminal of its own; `await using` closes it. */
  async open(options: OpenShellOptions = {}): Promise<SandboxShell> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    const input = { ...wishes, sandbox: this.#sandbox };
    const { shell } = await this.#service.call('shell.open', input, callOptions(options));
    return new SandboxShell(this.#service, this.#sandbox, shell.shell);
  }

  /** Those that are open, oldest first. */
  async list(): Promise<ShellInfo[]> {
    return (await this.#service.call('shell.list', { sandbox: this.#sandbox })).shells;
  }

  /** One that was opened before, by its number. `await using` closes it as well. */
  get(shell: number): SandboxShell {
    return new SandboxShell(this.#service, this.#sandbox, shell);
  }
}

export class SandboxShell implements AsyncDisposable {
  /** Its number, for `shells.get`. */
  readonly number: number;
  readonly #service: Service;
  readonly #sandbox: string;

  /** @internal */
  constructor(service: Service, sandbox: string, shell: number) {
    this.#service = service;
    this.#sandbox = sandbox;
    this.number = shell;
  }

  /** What it wrote from a cursor on; with `waitForIdleMs` once nothing has come for so long. */
  async read(options: ReadShellOptions = {}): Promise<ShellOutput> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    return await this.#service.call('shell.read', { ...wishes, ...this.#self }, callOptions(options));
  }

  /** Types into it. @param options newline: end it with Enter; default true. */
  async write(input: string, options: { readonly newline?: boolean } = {}): Promise<void> {
    await this.#service.call('shell.write', { ...options, ...this.#self, input });
  }

  /** @param signal Default `INT`, as Ctrl-C. */
  async signal(signal = 'INT'): Promise<void> {
    await this.#service.call('shell.signal', { ...this.#self, signal });
  }

  /** Closes it, and ends all that runs in it. */
  async close(): Promise<void> {
    await this.#service.call('shell.close', this.#self);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #self(): { readonly sandbox: string; readonly shell: number } {
    return { sandbox: this.#sandbox, shell: this.number };
  }
}
