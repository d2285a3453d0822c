/** What a running sandbox uses, seen from the host and from the guest. */

import type { Sandbox } from './sandbox.js';
import { notRunning } from './sandbox-errors.js';
import { type VmmUsage, vmmUsage } from './vmm-usage.js';

export interface SandboxStats {
  readonly id: string;
  readonly name: string;
  /** Monotonic time of the host at which this was taken, ms: two samples give a rate. */
  readonly atMs: number;
  readonly host: VmmUsage;
  /** null when the guest does not answer, or is paused. */
  readonly guest: {
    readonly memoryTotalBytes: number;
    readonly memoryAvailableBytes: number;
    readonly diskTotalBytes: number;
    readonly diskAvailableBytes: number;
    readonly processCount: number;
    readonly uptimeMs: number;
    /** Of the last minute. */
    readonly load1: number;
  } | null;
}

const GUEST_TIMEOUT_MS = 5000;

/** @throws {HearthError} `SANDBOX_NOT_RUNNING`. */
export async function sandboxStats(sandbox: Sandbox): Promise<SandboxStats> {
  const { record } = sandbox;
  const host = record.vmm === null ? undefined : await vmmUsage(record.vmm.pid);
  if (host === undefined) throw notRunning(record);
  const guest = record.state === 'running' ? await guestStats(sandbox).catch(() => null) : null;
  return { id: record.id, name: record.name, atMs: Math.round(performance.now()), host, guest };
}

async function guestStats(sandbox: Sandbox): Promise<SandboxStats['guest']> {
  const agent = await sandbox.agent();
  const stats = await agent.stats({ timeoutMs: GUEST_TIMEOUT_MS });
  const { memoryTotalBytes, memoryAvailableBytes, diskTotalBytes, diskAvailableBytes } = stats;
  const { processCount, uptimeMs, load1Milli } = stats;
  return {
    memoryTotalBytes,
    memoryAvailableBytes,
    diskTotalBytes,
    diskAvailableBytes,
    processCount,
    uptimeMs,
    load1: load1Milli / 1000,
  };
}
