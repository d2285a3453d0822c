/** A sandbox as a program holds it. */
import { resolve } from 'node:path';
import type { TerminalSize } from '../agent/index.js';
import type { OperationInput, OperationOutput, Service } from '../contract/index.js';
import { HearthError } from '../errors/index.js';
import type { CreateSandboxSpec } from '../sandboxes/index.js';
import {
  type Command,
  type CommandOptions,
  collect,
  type ExecOptions,
  type ExecResult,
  wordsOf,
} from './command.js';
import { callOptions, type ProgressOptions } from './environments.js';
import { openService } from './open-service.js';
import { SandboxDisk } from './sandbox-disk.js';
import { SandboxFiles } from './sandbox-files.js';
import { SandboxPorts } from './sandbox-ports.js';
import { SandboxProcess } from './sandbox-process.js';
import { SandboxServices } from './sandbox-services.js';
import { SandboxShells } from './sandbox-shells.js';
import { type ForkOptions, SandboxSnapshots } from './sandbox-snapshots.js';
import { SandboxWorkspace } from './sandbox-workspace.js';

export type SandboxInfo = OperationOutput<'sandbox.start'>['sandbox'];
export type SandboxSummary = OperationOutput<'sandbox.summary'>;
export type SandboxStats = OperationOutput<'sandbox.stats'>;
export type RunningCommand = OperationOutput<'sandbox.inspect'>['execs'][number];
export type EgressPiece = OperationOutput<'sandbox.egress'>;
export type SandboxChanges = Omit<OperationInput<'sandbox.update'>, 'sandbox'>;

export interface CreateSandboxOptions extends CreateSandboxSpec, ProgressOptions {
  /** Boot it. Default true. */
  readonly start?: boolean | undefined;
}

export interface StartOptions extends ProgressOptions {
  /** Boot, rather than resume a VM that has booted before. */
  readonly cold?: boolean | undefined;
}

export interface RestoreOptions extends ProgressOptions {
  /** Leave the memory aside; it is stopped then. */
  readonly diskOnly?: boolean | undefined;
}

export interface SpawnOptions extends CommandOptions {
  /** Give it a standard input; without, it reads from /dev/null. */
  readonly stdin?: boolean | undefined;
  /** A terminal of this size; stdout and stderr are then one stream, and there is a standard input. */
  readonly terminal?: TerminalSize | undefined;
  /** It goes on when this program goes away, and the end of its output is kept: 1 MiB, or `ringBytes`. */
  readonly detached?: boolean | { readonly ringBytes: number } | undefined;
}

export interface AttachOptions {
  /** Where to go on; default: the oldest byte that is still kept. */
  readonly stdoutCursor?: number | undefined;
  readonly stderrCursor?: number | undefined;
  readonly stdin?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ConsoleLog {
  /** What the guest wrote to its console; control characters and all. */
  readonly text: string;
  readonly bytes: Buffer;
  /** For the next call, which gives what came after. */
  readonly cursor: string;
}

const DEFAULT_RING_BYTES = 1024 * 1024;

export class Sandbox implements AsyncDisposable {
  readonly id: string;
  /** Its disk, whether it runs or not. */
  readonly disk: SandboxDisk;
  /** Its files, while it runs. */
  readonly files: SandboxFiles;
  /** Its published ports. */
  readonly ports: SandboxPorts;
  readonly services: SandboxServices;
  readonly shells: SandboxShells;
  readonly snapshots: SandboxSnapshots;
  /** Its `/workspace`, when it was created with one. */
  readonly workspace: SandboxWorkspace;
  readonly #service: Service;
  readonly #removesOnDispose: boolean;
  #info: SandboxInfo;

  /** @internal Use `hearth.sandboxes`. */
  constructor(service: Service, info: SandboxInfo, options: { readonly removesOnDispose: boolean }) {
    this.#service = service;
    this.#info = info;
    this.id = info.id;
    this.#removesOnDispose = options.removesOnDispose;
    this.disk = new SandboxDisk(service, info.id);
    this.files = new SandboxFiles(service, info.id);
    this.ports = new SandboxPorts(async () => (await this.refresh()).ports);
    this.services = new SandboxServices(service, info.id);
    this.shells = new SandboxShells(service, info.id);
    this.snapshots = new SandboxSnapshots(service, info.id);
    this.workspace = new SandboxWorkspace(service, info.id);
  }

  /** As `hearth.sandboxes.create` of the user's daemon, in one step. */
  static async create(options: CreateSandboxOptions): Promise<Sandbox> {
    const { service } = await openService(callOptions(options));
    return await Sandbox.made(service, options);
  }

  /** @internal */
  static async made(service: Service, options: CreateSandboxOptions): Promise<Sandbox> {
    const { signal: _signal, onProgress: _onProgress, start = true, ...spec } = options;
    const { workspace } = spec;
    const seedPath = workspace?.seedPath;
    // The daemon has another working directory.
    const input =
      seedPath === undefined ? spec : { ...spec, workspace: { ...workspace, seedPath: resolve(seedPath) } };
    const { sandbox: info } = await service.call('sandbox.create', input, callOptions(options));
    const sandbox = new Sandbox(service, info, { removesOnDispose: true });
    if (!start) return sandbox;
    try {
      await sandbox.start(options);
      return sandbox;
    } catch (error) {
      // The reason why it does not start is the one to tell.
      await sandbox.remove().catch(() => {});
      throw error;
    }
  }

  get name(): string {
    return this.#info.name;
  }

  /** What was last heard of it; `refresh` asks again. */
  get info(): SandboxInfo {
    return this.#info;
  }

  async refresh(): Promise<SandboxInfo> {
    return this.#heard(await this.#service.call('sandbox.inspect', this.#self));
  }

  /**
   * Runs a command to its end. A non-zero exit code is a result, not an error.
   *
   * @throws {HearthError} `SANDBOX_NOT_RUNNING`, `EXEC_USER_UNKNOWN`, `EXEC_CWD_INVALID` and others that keep it
   *   from starting; a program that is not there is exit code 127. Rejects with `signal.reason`.
   */
  async exec(command: Command, options: ExecOptions = {}): Promise<ExecResult> {
    const { signal, stdin, maxOutputBytes, onOutput, ...rest } = options;
    const input = { ...this.#self, ...rest, argv: wordsOf(command), stdin: stdin !== undefined };
    const guest = await this.#service.process('exec.start', input, withSignal(signal));
    return await collect(guest, options);
  }

  /**
   * Starts a command and gives its output as it comes.
   *
   * @throws {HearthError} as `exec`; `EXEC_NOT_FOUND`, `EXEC_NOT_EXECUTABLE`.
   */
  async spawn(command: Command, options: SpawnOptions = {}): Promise<SandboxProcess> {
    const { signal, detached = false, ...rest } = options;
    const ring = detached === true ? { ringBytes: DEFAULT_RING_BYTES } : detached;
    const input = {
      ...this.#self,
      ...rest,
      argv: wordsOf(command),
      ...(ring === false ? {} : { detached: ring }),
    };
    return await SandboxProcess.started(await this.#service.process('exec.start', input, withSignal(signal)));
  }

  /** Takes up a detached command again. @throws {HearthError} `EXEC_UNKNOWN`, `EXEC_CONFLICT`. */
  async attach(execId: number, { signal, ...rest }: AttachOptions = {}): Promise<SandboxProcess> {
    const input = { ...this.#self, execId, ...rest };
    return await SandboxProcess.started(
      await this.#service.process('exec.attach', input, withSignal(signal)),
    );
  }

  /** What happened in it since its last reset; `text` tells it to people. */
  async summary(): Promise<SandboxSummary> {
    return await this.#service.call('sandbox.summary', this.#self);
  }

  /** The commands that run in it, and the detached ones that have ended. */
  async commands(): Promise<RunningCommand[]> {
    const answer = await this.#service.call('sandbox.inspect', this.#self);
    this.#heard(answer);
    return answer.execs;
  }

  /** Starts it; does nothing when it runs. @param options cold: boot, rather than resume an earlier boot. */
  async start(options: StartOptions = {}): Promise<void> {
    this.#heard(await this.#service.call('sandbox.start', this.#starting(options), callOptions(options)));
  }

  /** Gives it back its first disk; it runs again when it ran. */
  async reset(options: StartOptions = {}): Promise<void> {
    this.#heard(await this.#service.call('sandbox.reset', this.#starting(options), callOptions(options)));
  }

  /**
   * Takes it back to one of its snapshots: with the memory, running, when that was saved; or stopped, with its disk
   * alone.
   *
   * @throws {HearthError} `SNAPSHOT_NOT_FOUND`, `VM_SNAPSHOT_INCOMPATIBLE`. Nothing has changed then.
   */
  async restore(name: string, options: RestoreOptions = {}): Promise<void> {
    const { diskOnly } = options;
    const input = { ...this.#self, name, ...(diskOnly === undefined ? {} : { diskOnly }) };
    this.#heard(await this.#service.call('sandbox.restore', input, callOptions(options)));
  }

  /** A sandbox that goes on from where this one is, with memory and disk of its own; `await using` removes it. */
  async fork(options: ForkOptions = {}): Promise<Sandbox> {
    const [copy] = await this.forkMany(1, options);
    if (copy !== undefined) return copy;
    throw new HearthError('INTERNAL', 'a fork gave no copy', { details: { sandbox: this.id } });
  }

  /** Several at once, for which it stands still only once. */
  async forkMany(count: number, options: ForkOptions = {}): Promise<Sandbox[]> {
    const { signal: _signal, onProgress: _onProgress, ...wishes } = options;
    const input = { ...wishes, ...this.#self, count };
    const { sandboxes } = await this.#service.call('sandbox.fork', input, callOptions(options));
    return sandboxes.map((info) => new Sandbox(this.#service, info, { removesOnDispose: true }));
  }

  /** Shuts it down; its disk stays. @param options graceMs: for its processes to end; default 10 s. */
  async stop(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#heard(await this.#service.call('sandbox.stop', { ...this.#self, ...options }));
  }

  /** Ends its VM at once; its disk stays. */
  async kill(): Promise<void> {
    this.#heard(await this.#service.call('sandbox.kill', this.#self));
  }

  /** Lets its processors stand still. */
  async pause(): Promise<void> {
    this.#heard(await this.#service.call('sandbox.pause', this.#self));
  }

  /** Goes on after `pause`, with the right time. */
  async resume(): Promise<void> {
    this.#heard(await this.#service.call('sandbox.resume', this.#self));
  }

  /** Changes its name, labels and limits. */
  async update(changes: SandboxChanges): Promise<void> {
    this.#heard(await this.#service.call('sandbox.update', { ...this.#self, ...changes }));
  }

  /** Removes it and its disk, running or not. Does nothing when it is gone. */
  async remove(): Promise<void> {
    try {
      await this.#service.call('sandbox.remove', { ...this.#self, force: true });
    } catch (error) {
      if (!HearthError.is(error) || error.code !== 'SANDBOX_NOT_FOUND') throw error;
    }
  }

  /** What it uses of its host and of its own. @throws {HearthError} `SANDBOX_NOT_RUNNING`. */
  async stats(): Promise<SandboxStats> {
    return await this.#service.call('sandbox.stats', this.#self);
  }

  /** What it has connected to or was refused, or what came after a cursor. */
  async egress(options: { readonly maxBytes?: number; readonly cursor?: string } = {}): Promise<EgressPiece> {
    return await this.#service.call('sandbox.egress', { ...this.#self, ...options });
  }

  /** The end of its console, or what came after a cursor. */
  async logs(options: { readonly maxBytes?: number; readonly cursor?: string } = {}): Promise<ConsoleLog> {
    const { base64, cursor } = await this.#service.call('sandbox.logs', { ...this.#self, ...options });
    const bytes = Buffer.from(base64, 'base64');
    return { text: bytes.toString('utf8'), bytes, cursor };
  }

  /** Removes it, if this handle is from `create`. One from `get` or `list` leaves it as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#removesOnDispose) await this.remove();
  }

  #starting({ cold }: StartOptions): { readonly sandbox: string; readonly cold?: boolean } {
    return { ...this.#self, ...(cold === undefined ? {} : { cold }) };
  }

  get #self(): { readonly sandbox: string } {
    return { sandbox: this.id };
  }

  #heard({ sandbox }: { readonly sandbox: SandboxInfo }): SandboxInfo {
    this.#info = sandbox;
    return sandbox;
  }
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
