export {
  AgentClient,
  type AgentInfo,
  type ConnectOptions,
  connectAgent,
  type ExecOptions,
  type ExecRecord,
} from './client.js';
export type { CallOptions } from './connection.js';
export type { ExecSpec, ResourceLimit, TerminalSize } from './exec-spec.js';
export type { ExecExit, ExecStart, GuestProcess, SignalTarget } from './guest-process.js';
