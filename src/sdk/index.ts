export type {
  Command,
  CommandInput,
  CommandOptions,
  ExecOptions,
  ExecResult,
  ExitStatus,
  OutputEvent,
} from './command.js';
export { type ConnectDaemonOptions, connectDaemon, stopDaemon } from './connect-daemon.js';
export {
  archiveOut,
  type CopiedIn,
  type CopyOptions,
  type CopyOutOptions,
  copyIn,
  copyOut,
} from './copy.js';
export { createDaemonClient, type DaemonClientOptions } from './daemon-client.js';
export { checkSocket, type DaemonLocation, daemonLocation, ensureSecureDirectory } from './daemon-socket.js';
export type {
  EnvironmentInfo,
  EnvironmentInspection,
  EnvironmentSummary,
  Environments,
  Progress,
  ProgressOptions,
  PrunedEnvironments,
  PullOptions,
  RegisterOptions,
  RemovedEnvironment,
  VerifiedEnvironment,
} from './environments.js';
export { Hearth } from './hearth.js';
export { VERSION_HEADER } from './http-call.js';
export {
  type HearthMode,
  type HearthOptions,
  type OpenedService,
  openService,
} from './open-service.js';
export { PROCESS_PROTOCOL } from './remote-process.js';
export type { RunOptions, RunResult } from './run.js';
export {
  type AttachOptions,
  type ConsoleLog,
  type CreateSandboxOptions,
  type EgressPiece,
  type RestoreOptions,
  type RunningCommand,
  Sandbox,
  type SandboxChanges,
  type SandboxInfo,
  type SandboxStats,
  type SandboxSummary,
  type SpawnOptions,
  type StartOptions,
} from './sandbox.js';
export type { DiskChange, SandboxDisk } from './sandbox-disk.js';
export type {
  FileContent,
  FileEntry,
  FileInfo,
  ListOptions,
  MakeDirectoryOptions,
  ReadOptions,
  ReadStreamOptions,
  ReadTreeOptions,
  RemoveFileOptions,
  SandboxFiles,
  WriteOptions,
  WriteTreeOptions,
} from './sandbox-files.js';
export type { PublishedPort, SandboxPorts } from './sandbox-ports.js';
export type { SandboxProcess } from './sandbox-process.js';
export type {
  SandboxServices,
  ServiceInfo,
  ServiceLogs,
  ServiceLogsOptions,
  StartServiceOptions,
} from './sandbox-services.js';
export type {
  OpenShellOptions,
  ReadShellOptions,
  SandboxShell,
  SandboxShells,
  ShellInfo,
  ShellOutput,
} from './sandbox-shells.js';
export type { ForkOptions, SandboxSnapshots, SnapshotInfo } from './sandbox-snapshots.js';
export type {
  AppliedPatch,
  ApplyPatchOptions,
  DiffOptions,
  PushedFiles,
  PushOptions,
  SandboxWorkspace,
  WorkspaceDiff,
  WorkspaceInfo,
} from './sandbox-workspace.js';
export type { Sandboxes } from './sandboxes.js';
