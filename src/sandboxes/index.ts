export { chooseAccelerator, parseAcceleratorWish } from './accelerator.js';
export { type CheckStatus, checkHost, type HostCheck } from './doctor.js';
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
export { type RunOptions, type RunOutcome, type RunSpec, type RunStreams, runOnce } from './run-once.js';
