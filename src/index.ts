/**
 * hearth for programs: sandboxes in microVMs on this machine.
 *
 *     import { Sandbox } from 'hearth';
 *
 *     await using sandbox = await Sandbox.create({ image: 'debian:12' });
 *     const { exitCode, stdout } = await sandbox.exec(['git', '--version']);
 */
export {
  ERROR_CODES,
  ERROR_KINDS,
  type ErrorCode,
  type ErrorKind,
  HearthError,
  type HearthErrorJson,
} from './errors/index.js';
export {
  type AttachOptions,
  type Command,
  type CommandInput,
  type CommandOptions,
  type ConsoleLog,
  type CreateSandboxOptions,
  type EnvironmentInfo,
  type EnvironmentInspection,
  type EnvironmentSummary,
  type Environments,
  type ExecOptions,
  type ExecResult,
  type ExitStatus,
  Hearth,
  type HearthMode,
  type HearthOptions,
  type OutputEvent,
  type Progress,
  type ProgressOptions,
  type PrunedEnvironments,
  type PublishedPort,
  type PullOptions,
  type RegisterOptions,
  type RemovedEnvironment,
  type RunningCommand,
  type RunOptions,
  type RunResult,
  Sandbox,
  type SandboxChanges,
  type Sandboxes,
  type SandboxInfo,
  type SandboxPorts,
  type SandboxProcess,
  type SandboxStats,
  type SpawnOptions,
  type VerifiedEnvironment,
} from './sdk/index.js';
