/**
 * Sandboxes that go back, and their copies: named snapshots, restore, reset, fork. A snapshot belongs to its
 * sandbox and goes with it.
 */
import { HearthError } from '../../errors/index.js';
import type { HearthPaths } from '../../fsx/index.js';
import type { SandboxOperationOptions } from '../create-sandbox.js';
import type { Sandbox } from '../sandbox.js';
import { stateConflict } from '../sandbox-errors.js';
import { assertSandboxName } from '../sandbox-name.js';
import { hasVm, type SandboxInfo, type SandboxRecord, sandboxInfo } from '../sandbox-record.js';
import type { SandboxStore } from '../sandbox-store.js';
import type { FindStartSource } from '../start-source.js';
import { captureDisk, captureVm, DISK_FILE, MEMORY_FILE, STATE_FILE, shareMemory } from './capture.js';
import { type ForkFrom, type ForkOptions, type ForkOutcome, forkSandbox } from './fork.js';
import { copyDisk, freshDisk } from './own-disk.js';
import { assertFits, assertWhole, recordFile, recordMachine } from './recorded-files.js';
import type { SnapshotInfo, SnapshotRecord } from './snapshot-record.js';
import { SnapshotStore, snapshotNotFound } from './snapshot-store.js';
import { warmStartFrom } from './warm-start.js';

export interface SnapshotsContext {
  readonly paths: HearthPaths;
  readonly sandboxes: SandboxStore;
  /** @throws {HearthError} `SANDBOX_NOT_FOUND`, `SANDBOX_AMBIGUOUS`. */
  readonly find: (reference: string) => Sandbox;
  /** Takes a sandbox that has just been made among the others. */
  readonly add: (record: SandboxRecord) => Sandbox;
  readonly remove: (sandbox: Sandbox) => Promise<unknown>;
  readonly takenNames: () => ReadonlySet<string>;
  readonly nameOf: (id: string) => string | undefined;
}

export interface ResetOptions extends SandboxOperationOptions {
  /** Boots it rather than resumes it. Default false. */
  readonly cold?: boolean | undefined;
}

export interface RestoreOptions extends SandboxOperationOptions {
  /** Leaves the memory of the snapshot aside; the sandbox is stopped then. Default false. */
  readonly diskOnly?: boolean | undefined;
}

const MOST_SNAPSHOTS = 100;

export class Snapshots {
  readonly #context: SnapshotsContext;
  readonly #store: SnapshotStore;
  /** `sandbox id/name` of those that are being made. */
  readonly #making = new Set<string>();

  constructor(context: SnapshotsContext) {
    this.#context = context;
    this.#store = new SnapshotStore(context.paths);
  }

  /**
   * Saves the sandbox under a name: all of it when it runs, which stands still for as long as `pauseMs` of the
   * answer says; its disk when it does not.
   *
   * @throws {HearthError} `NAME_INVALID`, `SNAPSHOT_EXISTS`, `SNAPSHOTS_TOO_MANY`, `SANDBOX_STATE_CONFLICT` when
   *   paused, `DISK_FULL`, and those of the VMM and the agent. The sandbox runs on, and nothing is left then.
   */
  async create(
    reference: string,
    name: string,
    { signal, onProgress }: SandboxOperationOptions = {},
  ): Promise<SnapshotInfo> {
    const sandbox = this.#context.find(reference);
    assertSandboxName(name);
    const given = signal === undefined ? {} : { signal };
    const key = `${sandbox.id}/${name}`;
    await this.#assertFree(sandbox, name, key);
    this.#making.add(key);
    try {
      onProgress?.({ phase: 'save', environment: sandbox.record.environment.name });
      const record = await this.#store.create(async (directory, id) => {
        const { source, pauseMs } = await this.#capture(sandbox, directory, given);
        const isVm = hasVm(source.state);
        const names = isVm ? [DISK_FILE, MEMORY_FILE, STATE_FILE] : [DISK_FILE];
        const files = await Promise.all(
          names.map(async (file) => [file, await recordFile(`${directory}/${file}`, given)] as const),
        );
        const { format, sizeBytes, growPending } = source.disk;
        return {
          schemaVersion: 1,
          id,
          name,
          sandboxId: sandbox.id,
          sandboxName: sandbox.name,
          environment: source.environment.name,
          createdAt: new Date().toISOString(),
          disk: { format, sizeBytes, growPending, pristine: source.pristine },
          machine: isVm ? await recordMachine(source, given) : null,
          pauseMs,
          files: Object.fromEntries(files),
        };
      });
      return await this.#info(record);
    } finally {
      this.#making.delete(key);
    }
  }

  /** Oldest first; of one sandbox, or all. */
  async list(reference?: string): Promise<readonly SnapshotInfo[]> {
    const sandbox = reference === undefined ? undefined : this.#context.find(reference);
    const records = (await this.#store.list()).filter(
      ({ sandboxId }) => sandbox === undefined || sandboxId === sandbox.id,
    );
    return await Promise.all(records.map((record) => this.#info(record)));
  }

  /** @throws {HearthError} `SNAPSHOT_NOT_FOUND`. */
  async remove(reference: string, name: string): Promise<SnapshotInfo> {
    const record = await this.#find(this.#context.find(reference), name);
    const info = await this.#info(record);
    await this.#store.remove(record.id);
    return info;
  }

  /**
   * Takes the sandbox back to a snapshot. What it has done since is gone. It runs when it ran then, the machine it
   * was, with the right time and fresh random numbers; otherwise it is stopped.
   *
   * @throws {HearthError} `SNAPSHOT_NOT_FOUND`, `VM_SNAPSHOT_INCOMPATIBLE`, `VM_SNAPSHOT_INVALID`; nothing has
   *   changed then. What starting throws; it is `failed` then, with the disk of the snapshot.
   */
  async restore(
    reference: string,
    name: string,
    { diskOnly = false, ...options }: RestoreOptions = {},
  ): Promise<SandboxInfo> {
    const sandbox = this.#context.find(reference);
    const given = options.signal === undefined ? {} : { signal: options.signal };
    const record = await this.#find(sandbox, name);
    const withMemory = !diskOnly && record.machine !== null;
    await this.#assertUsable(record, sandbox.record, withMemory, given);
    const directory = this.#store.directory(record.id);
    const findSource: FindStartSource = async ({ disk }) => ({
      memoryPath: `${directory}/${MEMORY_FILE}`,
      statePath: `${directory}/${STATE_FILE}`,
      disk,
      commands: 'go on',
      isOwn: true,
    });
    const { pristine, ...disk } = record.disk;
    await sandbox.replaceDisk(
      async (into) => ({
        disk: await copyDisk({ path: `${directory}/${DISK_FILE}`, ...disk }, into, given),
        pristine,
      }),
      withMemory ? { ...options, findSource } : undefined,
    );
    return sandboxInfo(sandbox.record);
  }

  /**
   * Gives the sandbox a fresh disk, as the environment has it and as large as before; name, limits and ports stay.
   * It runs again when it ran. Its snapshots stay.
   *
   * @throws {HearthError} what cloning and starting throw. When there is no room for the disk, nothing has changed.
   */
  async reset(reference: string, { cold = false, ...options }: ResetOptions = {}): Promise<SandboxInfo> {
    const sandbox = this.#context.find(reference);
    const runs = hasVm(sandbox.record.state);
    const findSource = cold ? undefined : warmStartFrom(this.#context.paths);
    const { signal } = options;
    await sandbox.replaceDisk(
      async (directory) => ({
        disk: await freshDisk(sandbox.record, directory, signal === undefined ? {} : { signal }),
        pristine: true,
      }),
      runs ? { ...options, findSource } : undefined,
    );
    return sandboxInfo(sandbox.record);
  }

  /**
   * Makes sandboxes that go on from where this one is, or from one of its snapshots: saved once, however many. Each
   * gets a name, machine id and random numbers of its own before one of its commands goes on.
   *
   * @throws {HearthError} `NAME_INVALID`, `SANDBOX_EXISTS`, and those of `create` and of starting. None of the new
   *   ones is left then.
   */
  async fork(reference: string, options: ForkOptions = {}): Promise<ForkOutcome> {
    const source = this.#context.find(reference);
    const given = options.signal === undefined ? {} : { signal: options.signal };
    const { onProgress, snapshot } = options;
    if (snapshot !== undefined) {
      const record = await this.#find(source, snapshot);
      await this.#assertUsable(record, source.record, record.machine !== null, given);
      const { pristine, ...disk } = record.disk;
      const from: ForkFrom = {
        directory: this.#store.directory(record.id),
        record: { ...source.record, pristine, disk: { ...disk, fileName: DISK_FILE } },
        withMemory: record.machine !== null,
        pauseMs: 0,
      };
      return await forkSandbox(from, this.#context, options);
    }
    return await this.#store.withScratch(async (directory) => {
      onProgress?.({ phase: 'save', environment: source.record.environment.name });
      const { source: record, pauseMs } = await this.#capture(source, directory, given);
      const from: ForkFrom = { directory, record, withMemory: hasVm(record.state), pauseMs };
      return await forkSandbox(from, this.#context, options);
    });
  }

  /** Removes the snapshots of a sandbox that is gone. */
  async forget(sandboxId: string): Promise<void> {
    const records = (await this.#store.list()).filter((record) => record.sandboxId === sandboxId);
    await Promise.all(records.map(({ id }) => this.#store.remove(id)));
  }

  /** Removes what nobody owns any more. Only for the one process that holds the sandboxes. */
  async sweep(hasSandbox: (id: string) => boolean): Promise<void> {
    await this.#store.sweep(hasSandbox);
  }

  /** Puts what the sandbox is at this moment into the directory; `source` is its record at that moment. */
  async #capture(
    sandbox: Sandbox,
    directory: string,
    given: { readonly signal?: AbortSignal },
  ): Promise<{ readonly source: SandboxRecord; readonly pauseMs: number }> {
    const captured = await sandbox.exclusively(async (vm) => {
      const source = sandbox.record;
      if (source.state === 'paused') throw stateConflict(source, 'be saved', 'resume');
      if (vm === undefined) {
        await captureDisk(source, sandbox.directory, directory, given);
        return { source, pauseMs: 0 };
      }
      return { source, pauseMs: await captureVm(vm, source, sandbox.directory, directory, given) };
    });
    if (hasVm(captured.source.state)) await shareMemory(captured.source, directory, given);
    return captured;
  }

  async #assertUsable(
    record: SnapshotRecord,
    sandbox: SandboxRecord,
    withMemory: boolean,
    given: { readonly signal?: AbortSignal },
  ): Promise<void> {
    if (withMemory && record.machine !== null) await assertFits(record, record.machine, sandbox, given);
    const names = withMemory ? [DISK_FILE, MEMORY_FILE, STATE_FILE] : [DISK_FILE];
    await assertWhole(record, this.#store.directory(record.id), names, given);
  }

  async #find(sandbox: Sandbox, name: string): Promise<SnapshotRecord> {
    const found = (await this.#store.list()).find(
      (record) => record.sandboxId === sandbox.id && (record.name === name || record.id === name),
    );
    if (found === undefined) throw snapshotNotFound(sandbox.name, name);
    return found;
  }

  async #assertFree(sandbox: Sandbox, name: string, key: string): Promise<void> {
    const own = (await this.#store.list()).filter(({ sandboxId }) => sandboxId === sandbox.id);
    if (this.#making.has(key) || own.some((record) => record.name === name)) {
      throw new HearthError('SNAPSHOT_EXISTS', `the sandbox ${sandbox.name} has a snapshot ${name} already`, {
        hint: `Choose another name, or remove it: hearth snapshot rm ${sandbox.name} ${name}`,
        details: { sandbox: sandbox.name, name },
      });
    }
    if (own.length < MOST_SNAPSHOTS) return;
    throw new HearthError('SNAPSHOTS_TOO_MANY', `the sandbox ${sandbox.name} has ${own.length} snapshots`, {
      hint: `Remove some: hearth snapshot list ${sandbox.name}`,
      details: { sandbox: sandbox.name, count: own.length, most: MOST_SNAPSHOTS },
    });
  }

  async #info(record: SnapshotRecord): Promise<SnapshotInfo> {
    const { id, name, sandboxId, environment, createdAt, machine, pauseMs } = record;
    return {
      id,
      name,
      sandbox: this.#context.nameOf(sandboxId) ?? record.sandboxName,
      sandboxId,
      environment,
      createdAt,
      kind: machine === null ? 'disk' : 'vm',
      pauseMs,
      allocatedBytes: await this.#store.allocatedBytes(id),
    };
  }
}
