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
export type { GuestEntry, GuestFile, GuestFileKind, NewEntry } from './file-entry.js';
export type { GuestAddress, GuestListener } from './forwards.js';
export type { FileAttributes, GuestFiles, GuestPath, WriteFileOptions } from './guest-files.js';
export type { GuestNetwork } from './guest-network.js';
export type { ExecExit, ExecStart, GuestProcess, SignalTarget } from './guest-process.js';
export type { NewTreeItem, TreeItem } from './guest-tree.js';
