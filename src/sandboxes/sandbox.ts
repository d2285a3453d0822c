/**
 * One sandbox: its record, its VM while it runs, and every change of its state. Changes happen one after the
 * other and are written down; commands run beside them.
 */
import type { AgentClient, ExecRecord, GuestProcess } from '../agent/index.js';
import { HearthError } from '../errors/index.js';
import { adoptVm, killVmm, type ProcessIdentity } from '../vmm/index.js';
import { Activity } from './activity.js';
import { finishStart } from './boot-sandbox.js';
import { SandboxEgress } from './network/sandbox-egress.js';
import { notRunning, stateConflict, stoppedError, vmLostError } from './sandbox-errors.js';
import { execSpecOf, type SandboxExecSpec } from './sandbox-exec.js';
import type { ExecStreamOptions, StartOptions, StopOptions } from './sandbox-options.js';
import { SandboxPorts } from './sandbox-ports.js';
import { hasVm, type SandboxDisk, type SandboxRecord, type StopReason } from './sandbox-record.js';
import type { SandboxStore } from './sandbox-store.js';
import { SandboxVm, type SandboxVmExit } from './sandbox-vm.js';
import { SandboxSecrets } from './secrets/sandbox-secrets.js';
import { removeOtherDisks } from './snapshots/own-disk.js';
import { type Startable, startVm } from './start-vm.js';
import { seedAgain } from './workspace/workspace-record.js';

const DEFAULT_GRACE_MS = 10_000;
/** For the guest to write everything back, after its processes have ended. */
const SHUTDOWN_SLACK_MS = 10_000;
const PAUSED_CALL_TIMEOUT_MS = 5000;

export class Sandbox {
  readonly #store: SandboxStore;
  #record: SandboxRecord;
  #vm: SandboxVm | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  /** Why it is about to end, once that is decided. */
  #ending: StopReason | undefined;
  #starting: AbortController | undefined;
  #settled: Promise<void> = Promise.resolve();
  readonly #ports: SandboxPorts;
  readonly #startable: Startable;
  readonly #egress: SandboxEgress;
  readonly secrets: SandboxSecrets;
  readonly #activity: Activity;

  constructor(store: SandboxStore, record: SandboxRecord) {
    this.#store = store;
    this.#record = record;
    this.#startable = {
      directory: this.directory,
      record: () => this.#record,
      update: (fields) => this.#update(fields),
      onAgent: async (agent) => {
        await this.secrets.give(agent);
        await this.#egress.attach(agent);
      },
      hold: (vm) => this.#hold(vm, vm.vm.identity),
      settled: () => this.#settled,
    };
    this.#egress = new SandboxEgress(this.directory, {
      network: () => this.#record.network,
      update: (network) => this.#update({ network }),
    });
    this.secrets = new SandboxSecrets(store.secrets, {
      id: record.id,
      name: () => this.name,
      secrets: () => this.#record.secrets,
    });
    this.#activity = new Activity((vm, error) => this.#explain(vm, error));
    this.#ports = new SandboxPorts(async (port, signal) => {
      const agent = await this.agent({ signal });
      this.#activity.touch();
      return await agent.connect({ port }, { signal });
    });
  }

  get record(): SandboxRecord {
    return this.#record;
  }
  get id(): string {
    return this.#record.id;
  }
  get name(): string {
    return this.#record.name;
  }
  get directory(): string {
    return this.#store.directory(this.id);
  }

  /**
   * Starts it. Does nothing when it runs.
   *
   * @throws {HearthError} what booting throws; the state is `failed` then. `SANDBOX_STATE_CONFLICT` when paused.
   */
  start(options: StartOptions = {}): Promise<void> {
    return this.#serial(() => this.#start(options));
  }

  /**
   * Ends its VM, if it has one, and gives it another disk, which `make` puts into its directory before that: what
   * goes wrong there changes nothing. Then starts it, when `start` is given.
   */
  replaceDisk(
    make: (directory: string) => Promise<{ readonly disk: SandboxDisk; readonly pristine: boolean }>,
    start: StartOptions | undefined,
  ): Promise<void> {
    return this.#serial(async () => {
      const { disk, pristine } = await make(this.directory);
      if (this.#vm !== undefined) {
        this.#ending = 'kill';
        await this.#vm.vm.kill();
        await this.#settled;
      }
      const state = pristine ? 'created' : 'stopped';
      const workspace = pristine ? seedAgain(this.#record.workspace) : this.#record.workspace;
      const stopReason = pristine ? null : 'stop';
      await this.#update({ disk, pristine, state, workspace, failure: null, stopReason });
      await removeOtherDisks(this.#record, this.directory);
      if (start !== undefined) await this.#start(start);
    });
  }

  /** Does something while no change of state is under way; with the VM, if it runs. */
  exclusively<T>(body: (vm: SandboxVm | undefined) => Promise<T>): Promise<T> {
    return this.#serial(() => body(this.#vm));
  }

  async #start({ signal, onProgress, findSource }: StartOptions): Promise<void> {
    if (this.#record.state === 'running') return;
    if (this.#record.state === 'paused') throw stateConflict(this.#record, 'start', 'resume');
    this.#ending = undefined;
    this.#starting = new AbortController();
    const signals = AbortSignal.any([this.#starting.signal, ...(signal === undefined ? [] : [signal])]);
    await this.#update({ state: 'starting', failure: null, stopReason: null });
    try {
      await this.#update({ ports: await this.#ports.open(this.#record.ports) });
      await startVm(this.#startable, { signal: signals, onProgress, findSource });
      await this.#running();
    } catch (error) {
      await this.#settled;
      await this.#ports.close();
      await this.#startFailed(error);
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  /** Asks the guest to end, then ends it. Does nothing when there is no VM. */
  stop({ graceMs = DEFAULT_GRACE_MS, reason = 'stop' }: StopOptions = {}): Promise<void> {
    return this.#serial(async () => {
      const vm = this.#vm;
      if (vm === undefined) return;
      const wasPaused = this.#record.state === 'paused';
      this.#ending = reason;
      await this.#update({ state: 'stopping' });
      try {
        if (wasPaused) await vm.vm.resume();
        const agent = await vm.agent({ timeoutMs: PAUSED_CALL_TIMEOUT_MS });
        await agent.shutdown({ graceMs, timeoutMs: graceMs + SHUTDOWN_SLACK_MS });
      } catch {
        // A guest that does not answer, or has ended meanwhile, gets what follows.
      }
      await vm.vm.kill();
      await this.#settled;
    });
  }

  /** Ends the VM at once, also one that is being started or stopped. */
  async kill(): Promise<void> {
    this.#ending ??= 'kill';
    this.#starting?.abort(stoppedError(this.#record));
    await this.#vm?.vm.kill();
    await this.#serial(async () => {
      this.#ending ??= 'kill';
      await this.#vm?.vm.kill();
      await this.#settled;
    });
  }

  pause(): Promise<void> {
    return this.#serial(async () => {
      if (this.#record.state === 'paused') return;
      await this.#runningVm().vm.pause();
      await this.#update({ state: 'paused' });
    });
  }

  /** Goes on after `pause`, with the right time. */
  resume(): Promise<void> {
    return this.#serial(async () => {
      if (this.#record.state === 'running') return;
      if (this.#record.state !== 'paused' || this.#vm === undefined) {
        throw stateConflict(this.#record, 'resume', 'start');
      }
      await this.#vm.vm.resume();
      await this.#update({ state: 'running' });
      this.#activity.touch();
      const agent = await this.#vm.agent();
      await agent.setClock();
      await this.#egress.reach(agent);
    });
  }

  /** Changes what is given of these fields; a guest that runs has what it may reach and its secrets at once. */
  change(
    fields: Partial<
      Pick<SandboxRecord, 'name' | 'labels' | 'ttlMs' | 'idleTimeoutMs' | 'network' | 'secrets' | 'workspace'>
    >,
  ): Promise<void> {
    return this.#serial(async () => {
      await this.#update(fields);
      const isToldGuest = fields.network !== undefined || fields.secrets !== undefined;
      if (!isToldGuest || this.#vm === undefined) return;
      this.#egress.apply();
      if (this.#record.state !== 'running') return;
      const agent = await this.agent();
      await this.secrets.give(agent);
      await this.#egress.reach(agent);
    });
  }

  /**
   * Starts a command.
   *
   * @throws {HearthError} `SANDBOX_NOT_RUNNING`, `USAGE_INVALID`, `SECRET_NOT_FOUND`, and those of
   *   `SandboxVm.agent`. The rest is told by the process.
   */
  async exec(spec: SandboxExecSpec, options: ExecStreamOptions = {}): Promise<GuestProcess> {
    const vm = this.#runningVm();
    const agent = await vm.agent(options);
    const { variables, cover } = await this.secrets.forCommand(spec.secretEnv);
    const execSpec = execSpecOf(this.#record, spec, this.#egress.env, variables);
    return cover(this.#activity.follow(vm, agent.exec(execSpec, options)));
  }

  /** Takes up a detached command where the cursors say, or at the oldest byte that is still kept. */
  async attach(
    execId: number,
    cursors: { readonly stdout: number; readonly stderr: number },
    options: ExecStreamOptions & { readonly stdin?: boolean } = {},
  ): Promise<GuestProcess> {
    const vm = this.#runningVm();
    const agent = await vm.agent(options.signal === undefined ? {} : { signal: options.signal });
    const { cover } = await this.secrets.forCommand();
    return cover(this.#activity.follow(vm, agent.attach(execId, cursors, options)));
  }

  /** The agent of the running guest. @throws {HearthError} `SANDBOX_NOT_RUNNING`, `VM_EXITED`, `AGENT_…`. */
  async agent(options: ExecStreamOptions = {}): Promise<AgentClient> {
    return await this.#runningVm().agent(options);
  }

  /** Works with the agent: an activity, whose failures are told in the sandbox's words. */
  async use<T>(body: (agent: AgentClient) => Promise<T>, options: ExecStreamOptions = {}): Promise<T> {
    return await this.#activity.use(this.#runningVm(), body, options);
  }

  /** As `use`, for what comes piece by piece. */
  stream<T>(
    open: (agent: AgentClient) => AsyncIterable<T>,
    options: ExecStreamOptions = {},
  ): AsyncGenerator<T, void, undefined> {
    return this.#activity.stream(() => this.#runningVm(), open, options);
  }

  async execs(): Promise<ExecRecord[]> {
    return this.#record.state === 'running' ? await (await this.agent()).listExecs() : [];
  }

  /** Ms for which nothing has run in it; 0 while something does or it does not run. */
  async idleMs(limitMs: number): Promise<number> {
    return this.#record.state === 'running' ? await this.#activity.idleMs(limitMs, () => this.execs()) : 0;
  }

  /** Takes over the VM that the record speaks of, or settles that it is gone. */
  async adopt(): Promise<void> {
    const { state, vmm } = this.#record;
    if (!hasVm(state)) return;
    if (vmm === null) {
      await this.#startFailed(vmLostError(this.#record));
      return;
    }
    const vm = await adoptVm(vmm, this.directory).catch(async () => {
      // It is there and does not answer: nobody could ever use it again.
      await killVmm(vmm, this.directory);
      return undefined;
    });
    if (vm === undefined) {
      await this.#lost(vmm);
      return;
    }
    const adopted = new SandboxVm(vm, this.#startable.onAgent);
    await this.#hold(adopted, vmm);
    await this.#update({ ports: await this.#ports.reopen(this.#record.ports) });
    if (state === 'stopping') void this.stop({ reason: this.#record.stopReason ?? 'stop' }).catch(() => {});
    else if (state === 'starting') void this.#serial(() => this.#finishStart(adopted)).catch(() => {});
    // Its conversation opens the way out again, where what runs in it looks for it.
    else if (state === 'running') await adopted.wake();
    else await this.#update({ state: (await vm.isPaused()) ? 'paused' : 'running' });
  }

  /** Lets go of the VM, which runs on. */
  async release(): Promise<void> {
    await this.#ports.close();
    this.#egress.close();
    await this.#vm?.release();
  }

  /** Resolves when no change of state is under way. */
  async quiet(): Promise<void> {
    await this.#queue;
  }

  async #finishStart(vm: SandboxVm): Promise<void> {
    try {
      // A resumed VM that nobody made one of its own, or that still waits for its state, is of no use.
      if (this.#record.startKind === 'warm') throw vmLostError(this.#record);
      await finishStart(vm, this.#record, undefined, { directory: this.directory });
      await this.#running();
    } catch (error) {
      await vm.vm.kill();
      await this.#settled;
      await this.#startFailed(error);
    }
  }

  async #running(): Promise<void> {
    const { workspace, disk } = this.#record;
    this.#activity.touch();
    await this.#update({
      state: 'running',
      startedAt: new Date().toISOString(),
      disk: { ...disk, growPending: false },
      workspace: workspace === null ? null : { ...workspace, seedPending: false },
    });
  }

  async #startFailed(error: unknown): Promise<void> {
    const failure = HearthError.is(error) ? error : stoppedError(this.#record);
    const stoppedAt = new Date().toISOString();
    const ended = this.#ending !== undefined || !HearthError.is(error);
    await this.#update(
      ended
        ? { state: 'stopped', stopReason: this.#ending ?? 'kill', stoppedAt, vmm: null }
        : { state: 'failed', failure: failure.toJSON(), stoppedAt, vmm: null },
    );
  }

  async #lost(vmm: ProcessIdentity): Promise<void> {
    const error = vmLostError(this.#record, vmm);
    const stoppedAt = new Date().toISOString();
    await this.#update({ state: 'failed', failure: error.toJSON(), stoppedAt, vmm: null });
  }

  async #hold(vm: SandboxVm, identity: ProcessIdentity): Promise<void> {
    this.#vm = vm;
    this.#settled = vm.vm.exited.then((exit) => this.#ended(vm, exit));
    await this.#update({ vmm: identity });
  }

  async #ended(vm: SandboxVm, exit: SandboxVmExit): Promise<void> {
    this.#vm = undefined;
    this.#egress.close();
    // A start that fails says why by itself.
    if (this.#record.state === 'starting') return;
    await this.#ports.close();
    const stoppedAt = new Date().toISOString();
    const byGuest = exit.guestEnd === 'shutdown' || exit.guestEnd === 'reset';
    const stopReason = this.#ending ?? (byGuest ? 'guest' : undefined);
    this.#ending = undefined;
    await this.#update(
      stopReason === undefined
        ? { state: 'failed', failure: vm.exitError(exit).toJSON(), stoppedAt, vmm: null }
        : { state: 'stopped', stopReason, stoppedAt, vmm: null },
    ).catch(() => {
      // The record on disk says it runs; whoever reads it next looks at the process.
    });
  }

  async #explain(vm: SandboxVm, error: unknown): Promise<unknown> {
    const reason = await vm.explain(error);
    return reason !== error && this.#record.stopReason !== null ? stoppedError(this.#record) : reason;
  }

  #runningVm(): SandboxVm {
    if (this.#record.state !== 'running' || this.#vm === undefined) throw notRunning(this.#record);
    return this.#vm;
  }

  /** Memory first: what is true is true even when it cannot be written down. */
  async #update(fields: Partial<SandboxRecord>): Promise<void> {
    this.#record = { ...this.#record, ...fields };
    await this.#store.write(this.#record);
  }

  async #serial<T>(body: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(body, body);
    this.#queue = turn.catch(() => {});
    return await turn;
  }
}
