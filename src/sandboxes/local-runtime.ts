/** Opens a user's sandboxes in this process, and holds them; a lock sees to it that one process does at a time. */
import { join } from 'node:path';
import process from 'node:process';
import type { ExecRecord, GuestProcess } from '../agent/index.js';
import { loadConfig } from '../config/index.js';
import { type EnvironmentStore, openEnvironmentStore } from '../environments/index.js';
import { HearthError } from '../errors/index.js';
import { acquireLock, type HearthPaths, type Lock } from '../fsx/index.js';
import { Background } from './background/background.js';
import { type ConsolePiece, readConsole } from './console-reader.js';
import { type CreateSandboxSpec, createSandbox, type SandboxOperationOptions } from './create-sandbox.js';
import { SandboxFiles } from './files/sandbox-files.js';
import { HealthWatch } from './health.js';
import { Journal } from './journal/journal.js';
import { killOrphans } from './kill-orphans.js';
import { type EgressPiece, readEgressJournal } from './network/egress-journal.js';
import { updatedNetwork } from './network/network-changes.js';
import { type OneShotOptions, type OneShotOutcome, type OneShotSpec, runOneShot } from './one-shot.js';
import { parseSignal } from './parse-signal.js';
import { VmPool } from './pool/pool.js';
import { Reaper } from './reaper.js';
import type { DamagedSandbox, Runtime, RuntimeOptions, SandboxChanges } from './runtime.js';
import { Sandbox } from './sandbox.js';
import type { SandboxExecSpec } from './sandbox-exec.js';
import { assertSandboxName, findSandbox, mergeLabels } from './sandbox-name.js';
import type { ExecStreamOptions, StopOptions } from './sandbox-options.js';
import { hasVm, type SandboxInfo, type SandboxRecord, sandboxInfo } from './sandbox-record.js';
import { type SandboxStats, sandboxStats } from './sandbox-stats.js';
import { SandboxStore, sandboxesDirectory, sandboxesUsing } from './sandbox-store.js';
import { Snapshots } from './snapshots/snapshots.js';
import { warmStartFrom } from './snapshots/warm-start.js';
import { Workspaces } from './workspace/workspaces.js';

const LOCK_FILE = '.lock';
const CLOSE_GRACE_MS = 5000;

/**
 * Opens the sandboxes: takes over every VM that runs, and removes what nobody owns.
 *
 * @throws {HearthError} `STORE_LOCKED` when another process has them.
 */
export async function openRuntime(options: RuntimeOptions): Promise<Runtime> {
  const { paths, env = process.env } = options;
  const { registry } = await loadConfig(paths);
  const store = new SandboxStore(sandboxesDirectory(paths));
  const lock = await acquireLock(join(store.root, LOCK_FILE), { timeoutMs: 0 });
  try {
    const environments = await openEnvironmentStore({
      paths,
      agentPath: options.agentPath,
      isInUse: (directory) => sandboxesUsing(paths, directory),
      env,
      registry: { env, ...registry },
    });
    const stored = await store.list();
    const sandboxes = stored.flatMap((entry) =>
      entry.kind === 'record' ? [new Sandbox(store, entry.record)] : [],
    );
    const damaged = stored.flatMap((entry) => (entry.kind === 'damaged' ? [entry] : []));
    await killOrphans(store, sandboxes);
    await store.sweep();
    await Promise.all(sandboxes.map((sandbox) => sandbox.adopt()));
    const runtime = new LocalRuntime({ paths, store, environments, lock }, sandboxes, damaged);
    const known = new Set([...sandboxes, ...damaged].map(({ id }) => id));
    await runtime.snapshots.sweep((id) => known.has(id));
    await runtime.background.adopt(sandboxes);
    return runtime;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Parts {
  readonly paths: HearthPaths;
  readonly store: SandboxStore;
  readonly environments: EnvironmentStore;
  readonly lock: Lock;
}

class LocalRuntime implements Runtime {
  readonly #parts: Parts;
  readonly #sandboxes: Map<string, Sandbox>;
  readonly #damaged: Map<string, DamagedSandbox>;
  readonly #reaper: Reaper;
  readonly #health = new HealthWatch(() => this.#sandboxes.values());
  readonly snapshots: Snapshots;
  readonly pool: VmPool;
  readonly files = new SandboxFiles((reference) => this.#find(reference));
  readonly workspaces = new Workspaces((reference) => this.#find(reference));
  readonly background = new Background((reference) => this.#find(reference));
  readonly journal = new Journal((reference) => this.#find(reference));

  constructor(parts: Parts, sandboxes: readonly Sandbox[], damaged: readonly DamagedSandbox[]) {
    this.#parts = parts;
    this.#sandboxes = new Map(sandboxes.map((sandbox) => [sandbox.id, sandbox]));
    this.#damaged = new Map(damaged.map((entry) => [entry.id, entry]));
    this.pool = new VmPool(parts.paths, parts.environments);
    this.snapshots = new Snapshots({
      paths: parts.paths,
      sandboxes: parts.store,
      find: (reference) => this.#find(reference),
      add: (record) => this.#add(record),
      remove: (sandbox) => this.#remove(sandbox),
      takenNames: () => this.#takenNames(),
      nameOf: (id) => this.#sandboxes.get(id)?.name,
    });
    this.#reaper = new Reaper(() => this.#sandboxes.values(), {
      expired: async (sandbox) => void (await this.#remove(sandbox)),
      idle: (sandbox) => sandbox.stop({ reason: 'idle' }),
    });
  }

  get activeCount(): number {
    const sandboxes = [...this.#sandboxes.values()].filter(({ record }) => hasVm(record.state)).length;
    return sandboxes + this.pool.activeCount;
  }

  get environments(): EnvironmentStore {
    return this.#parts.environments;
  }

  async create(spec: CreateSandboxSpec, options: SandboxOperationOptions = {}): Promise<SandboxInfo> {
    const context = { ...this.#parts, takenNames: () => this.#takenNames() };
    const record = await createSandbox(spec, context, options);
    return this.#info(this.#add(record));
  }

  async start(
    reference: string,
    { cold = false, ...options }: SandboxOperationOptions & { readonly cold?: boolean | undefined } = {},
  ): Promise<SandboxInfo> {
    const findSource = cold ? undefined : warmStartFrom(this.#parts.paths);
    return await this.#change(reference, (sandbox) => sandbox.start({ ...options, findSource }));
  }

  async stop(reference: string, options: StopOptions = {}): Promise<SandboxInfo> {
    return await this.#change(reference, (sandbox) => sandbox.stop(options));
  }

  async kill(reference: string): Promise<SandboxInfo> {
    return await this.#change(reference, (sandbox) => sandbox.kill());
  }

  async pause(reference: string): Promise<SandboxInfo> {
    return await this.#change(reference, (sandbox) => sandbox.pause());
  }

  async resume(reference: string): Promise<SandboxInfo> {
    return await this.#change(reference, (sandbox) => sandbox.resume());
  }

  async remove(
    reference: string,
    { force = false }: { readonly force?: boolean | undefined } = {},
  ): Promise<{ readonly id: string; readonly name: string }> {
    const damaged = this.#damaged.get(reference);
    if (damaged !== undefined) {
      if (!force) throw damaged.error;
      await this.#parts.store.remove(damaged.id);
      this.#damaged.delete(damaged.id);
      await this.snapshots.forget(damaged.id);
      return { id: damaged.id, name: damaged.id };
    }
    const sandbox = this.#find(reference);
    if (!force && hasVm(sandbox.record.state)) {
      throw new HearthError(
        'SANDBOX_STATE_CONFLICT',
        `the sandbox ${sandbox.name} is ${sandbox.record.state}`,
        {
          hint: `Stop it first, or remove it as it is: hearth rm --force ${sandbox.name}`,
          details: { id: sandbox.id, name: sandbox.name, state: sandbox.record.state },
        },
      );
    }
    return await this.#remove(sandbox);
  }

  async update(reference: string, changes: SandboxChanges): Promise<SandboxInfo> {
    const sandbox = this.#find(reference);
    const { name, labels, ttlMs, idleTimeoutMs } = changes;
    if (name !== undefined && name !== sandbox.name) this.#assertFree(name);
    const merged = mergeLabels(sandbox.record.labels, labels ?? {});
    await sandbox.change({
      ...(name === undefined ? {} : { name }),
      labels: merged,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...updatedNetwork(sandbox.record, changes),
      ...(await sandbox.secrets.updated(changes.secrets)),
    });
    return this.#info(sandbox);
  }

  list(): readonly SandboxInfo[] {
    return [...this.#sandboxes.values()]
      .map((sandbox) => this.#info(sandbox))
      .sort((one, other) => one.createdAt.localeCompare(other.createdAt) || one.id.localeCompare(other.id));
  }

  damaged(): readonly DamagedSandbox[] {
    return [...this.#damaged.values()];
  }

  async inspect(
    reference: string,
  ): Promise<{ readonly sandbox: SandboxInfo; readonly execs: readonly ExecRecord[] }> {
    const sandbox = this.#find(reference);
    // A guest that does not answer must not keep what the host knows.
    const isSilent = this.#health.of(sandbox) === 'unresponsive';
    const execs = isSilent ? [] : await sandbox.execs().catch(() => []);
    return { sandbox: this.#info(sandbox), execs };
  }

  async exec(
    reference: string,
    spec: SandboxExecSpec,
    options: ExecStreamOptions = {},
  ): Promise<GuestProcess> {
    return await this.#find(reference).exec(spec, options);
  }

  async attach(
    reference: string,
    execId: number,
    cursors: { readonly stdout: number; readonly stderr: number },
    options: ExecStreamOptions & { readonly stdin?: boolean } = {},
  ): Promise<GuestProcess> {
    return await this.#find(reference).attach(execId, cursors, options);
  }

  async signalExec(reference: string, execId: number, signal: string): Promise<void> {
    const agent = await this.#find(reference).agent();
    await agent.killExec(execId, parseSignal(signal), 'group');
  }

  async console(
    reference: string,
    options: { readonly maxBytes: number; readonly cursor?: string | undefined },
  ): Promise<ConsolePiece> {
    const { directory, secrets } = this.#find(reference);
    return await readConsole(directory, options, await secrets.redactor());
  }

  async egressEvents(
    reference: string,
    options: { readonly maxBytes: number; readonly cursor?: string | undefined },
  ): Promise<EgressPiece> {
    return await readEgressJournal(this.#find(reference).directory, options);
  }

  async stats(reference: string): Promise<SandboxStats> {
    return await sandboxStats(this.#find(reference));
  }

  async runOnce(spec: OneShotSpec, options: OneShotOptions): Promise<OneShotOutcome> {
    return await runOneShot(spec, this.#parts, options);
  }

  async close(vms: 'keep' | 'stop'): Promise<void> {
    this.#reaper.close();
    this.#health.close();
    await this.pool.close();
    const all = [...this.#sandboxes.values()];
    if (vms === 'stop') {
      await Promise.allSettled(
        all.map((sandbox) => sandbox.stop({ graceMs: CLOSE_GRACE_MS, reason: 'shutdown' })),
      );
    }
    await this.background.close();
    await Promise.allSettled(all.map((sandbox) => sandbox.quiet()));
    await Promise.allSettled(all.map((sandbox) => sandbox.release()));
    await this.#parts.lock.release();
  }

  async #change(reference: string, body: (sandbox: Sandbox) => Promise<void>): Promise<SandboxInfo> {
    const sandbox = this.#find(reference);
    await body(sandbox);
    return this.#info(sandbox);
  }

  async #remove(sandbox: Sandbox): Promise<{ readonly id: string; readonly name: string }> {
    await sandbox.kill();
    await this.#parts.store.remove(sandbox.id);
    this.#sandboxes.delete(sandbox.id);
    await this.snapshots.forget(sandbox.id);
    return { id: sandbox.id, name: sandbox.name };
  }

  #info(sandbox: Sandbox): SandboxInfo {
    return sandboxInfo(sandbox.record, this.#health.of(sandbox));
  }

  #add(record: SandboxRecord): Sandbox {
    const sandbox = new Sandbox(this.#parts.store, record);
    this.#sandboxes.set(record.id, sandbox);
    return sandbox;
  }

  #takenNames(): ReadonlySet<string> {
    return new Set([...this.#sandboxes.values()].flatMap(({ name, id }) => [name, id]));
  }

  #find(reference: string): Sandbox {
    return findSandbox(this.#sandboxes.values(), reference);
  }

  #assertFree(name: string): void {
    assertSandboxName(name);
    for (const sandbox of this.#sandboxes.values()) {
      if (sandbox.name !== name && sandbox.id !== name) continue;
      throw new HearthError('SANDBOX_EXISTS', `there is a sandbox ${name} already`, {
        hint: 'Choose another name.',
        details: { name },
      });
    }
  }
}
