/** How a sandbox is started, stopped and spoken to. */
import type { SandboxOperationOptions } from './create-sandbox.js';
import type { StopReason } from './sandbox-record.js';
import type { FindStartSource } from './start-source.js';

export interface StopOptions {
  /** How long the guest's processes have to end after SIGTERM; default 10 s. */
  readonly graceMs?: number | undefined;
  readonly reason?: StopReason;
}

export interface StartOptions extends SandboxOperationOptions {
  /** Where it may go on instead of booting. Default: it boots. */
  readonly findSource?: FindStartSource | undefined;
}

export interface ExecStreamOptions {
  readonly signal?: AbortSignal;
}
