export { chooseAccelerator, parseAcceleratorWish } from './accelerator.js';
export type { Background } from './background/background.js';
export type { ServiceInfo } from './background/service.js';
export type { ShellInfo } from './background/shell.js';
export type { ConsolePiece } from './console-reader.js';
export type { CreateSandboxSpec, SandboxOperationOptions, SandboxProgress } from './create-sandbox.js';
export type { DiskChange } from './disks/disk-changes.js';
export type { SandboxDisks } from './disks/sandbox-disks.js';
export type { CheckStatus, HostCheck } from './doctor.js';
export type { SandboxFiles } from './files/sandbox-files.js';
export { guestAgentPath } from './guest-agent-path.js';
export {
  type CommandWishes,
  type GuestCommand,
  type ImageDefaults,
  parseEnvFile,
  parseEnvWords,
  resolveGuestCommand,
} from './guest-command.js';
export { type MachinePhase, prepareMachine, type StartKind } from './machine.js';
export type { MachineSpec } from './machine-spec.js';
export type { EgressPiece, JournalEvent } from './network/egress-journal.js';
export type { NetworkMode } from './network/network-record.js';
export { checkHost, egressPolicyFor, keptSnapshots, openRuntime, sandboxesUsing } from './on-demand.js';
export type { OneShotOptions, OneShotOutcome, OneShotSpec } from './one-shot.js';
export { parseSignal } from './parse-signal.js';
export type { PoolInfo, PoolOptions, VmPool } from './pool/pool.js';
export { assertPoolFits, parsePoolWish } from './pool/pool-wish.js';
export { type RunOptions, type RunOutcome, type RunSpec, type RunStreams, runOnce } from './run-once.js';
export type { DamagedSandbox, Runtime, RuntimeOptions, SandboxChanges } from './runtime.js';
export type { SandboxExecSpec } from './sandbox-exec.js';
export type { ExecStreamOptions, StopOptions } from './sandbox-options.js';
export type { SandboxInfo } from './sandbox-record.js';
export { SANDBOX_STATES, type SandboxState } from './sandbox-state.js';
export type { SandboxStats } from './sandbox-stats.js';
export {
  assertSecrets,
  badName,
  isSecretName,
  MAX_SECRET_BYTES,
  type Secret,
  type SecretSource,
} from './secrets/secret.js';
export type { ForkOptions, ForkOutcome } from './snapshots/fork.js';
export type { SnapshotInfo } from './snapshots/snapshot-record.js';
export type { RestoreOptions, Snapshots } from './snapshots/snapshots.js';
