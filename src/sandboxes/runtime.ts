/** Everything that a user's sandboxes are asked for. The daemon holds one, or a program that wants no daemon. */
import type { ExecRecord, GuestProcess } from '../agent/index.js';
import type { EnvironmentStore } from '../environments/index.js';
import type { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import type { Background } from './background/background.js';
import type { ConsolePiece } from './console-reader.js';
import type { CreateSandboxSpec, SandboxOperationOptions } from './create-sandbox.js';
import type { SandboxFiles } from './files/sandbox-files.js';
import type { Journal } from './journal/journal.js';
import type { EgressPiece } from './network/egress-journal.js';
import type { NetworkChanges } from './network/network-changes.js';
import type { OneShotOptions, OneShotOutcome, OneShotSpec } from './one-shot.js';
import type { VmPool } from './pool/pool.js';
import type { SandboxExecSpec } from './sandbox-exec.js';
import type { ExecStreamOptions, StopOptions } from './sandbox-options.js';
import type { SandboxInfo } from './sandbox-record.js';
import type { SandboxStats } from './sandbox-stats.js';
import type { Secret } from './secrets/secret.js';
import type { Snapshots } from './snapshots/snapshots.js';
import type { Workspaces } from './workspace/workspaces.js';

export interface RuntimeOptions {
  readonly paths: HearthPaths;
  /** The guest agent's binary. */
  readonly agentPath: string;
  /** Looked at by the environment store. Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface DamagedSandbox {
  readonly id: string;
  readonly error: HearthError;
}

export interface SandboxChanges extends NetworkChanges {
  /** Added, or put in the place of those of their names. */
  readonly secrets?: readonly Secret[] | undefined;
  readonly name?: string | undefined;
  /** Merged into the labels; null removes one. */
  readonly labels?: Readonly<Record<string, string | null>> | undefined;
  /** null: no limit. */
  readonly ttlMs?: number | null | undefined;
  readonly idleTimeoutMs?: number | null | undefined;
}

/** Every `reference` is a name, an id, or the beginning of one id. */
export interface Runtime {
  create(spec: CreateSandboxSpec, options?: SandboxOperationOptions): Promise<SandboxInfo>;
  /** `cold` boots also where a saved VM could go on. */
  start(
    reference: string,
    options?: SandboxOperationOptions & { readonly cold?: boolean | undefined },
  ): Promise<SandboxInfo>;
  stop(reference: string, options?: StopOptions): Promise<SandboxInfo>;
  kill(reference: string): Promise<SandboxInfo>;
  /** @throws {HearthError} `SANDBOX_STATE_CONFLICT` when it runs and `force` is not given. */
  remove(
    reference: string,
    options?: { readonly force?: boolean | undefined },
  ): Promise<{ readonly id: string; readonly name: string }>;
  pause(reference: string): Promise<SandboxInfo>;
  resume(reference: string): Promise<SandboxInfo>;
  update(reference: string, changes: SandboxChanges): Promise<SandboxInfo>;
  /** Oldest first. */
  list(): readonly SandboxInfo[];
  /** Directories that are not understood; `remove` with force takes their ids. */
  damaged(): readonly DamagedSandbox[];
  inspect(
    reference: string,
  ): Promise<{ readonly sandbox: SandboxInfo; readonly execs: readonly ExecRecord[] }>;
  exec(reference: string, spec: SandboxExecSpec, options?: ExecStreamOptions): Promise<GuestProcess>;
  attach(
    reference: string,
    execId: number,
    cursors: { readonly stdout: number; readonly stderr: number },
    options?: ExecStreamOptions & { readonly stdin?: boolean },
  ): Promise<GuestProcess>;
  /** Signals the process group of a command. @throws {HearthError} `EXEC_UNKNOWN`, `USAGE_INVALID`. */
  signalExec(reference: string, execId: number, signal: string): Promise<void>;
  console(
    reference: string,
    options: { readonly maxBytes: number; readonly cursor?: string | undefined },
  ): Promise<ConsolePiece>;
  /** What it has connected to, or was refused. */
  egressEvents(
    reference: string,
    options: { readonly maxBytes: number; readonly cursor?: string | undefined },
  ): Promise<EgressPiece>;
  stats(reference: string): Promise<SandboxStats>;
  /** A command in a VM of its own that is gone afterwards; `list` does not show it. */
  runOnce(spec: OneShotSpec, options: OneShotOptions): Promise<OneShotOutcome>;
  /** What sandboxes are made from. */
  readonly environments: EnvironmentStore;
  /** Sandboxes that go back, and their copies. */
  readonly snapshots: Snapshots;
  /** VMs that wait for commands; none until it is opened. */
  readonly pool: VmPool;
  /** Of running sandboxes. */
  readonly files: SandboxFiles;
  readonly workspaces: Workspaces;
  /** Services and shells. */
  readonly background: Background;
  readonly journal: Journal;
  /** How many have a VM, or are about to, and how many commands have one of the pool. */
  readonly activeCount: number;
  /** Gives the sandboxes up. `keep`: their VMs run on for the next one; `stop`: they are shut down. */
  close(vms: 'keep' | 'stop'): Promise<void>;
}
