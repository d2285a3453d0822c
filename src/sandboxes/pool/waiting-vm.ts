/** A VM that waits for a command: resumed, one of its own, its processors stopped until it is claimed. */

import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { AgentClient } from '../../agent/index.js';
import { HearthError } from '../../errors/index.js';
import type { HearthPaths } from '../../fsx/index.js';
import { bootSnapshotKey } from '../boot-snapshots/boot-snapshot.js';
import { startMachine } from '../machine.js';
import type { MachineSpec } from '../machine-spec.js';
import { createVmDirectory } from '../vm-directory.js';

export interface WaitingVm {
  readonly id: string;
  /** Of the boot snapshot that it goes on from: what a command has to ask for. */
  readonly key: string;
  /** Resolves when its process is gone; never rejects. */
  readonly exited: Promise<unknown>;
  /** Lets it go on. @returns Its agent's channel, for a new conversation. */
  claim(): Promise<Duplex>;
  /** Ends it at once and removes what it had. Idempotent. */
  close(): Promise<void>;
}

const WARM_UP_TIMEOUT_MS = 30_000;

/** @throws {HearthError} What `startMachine` throws; nothing is left then. */
export async function startWaiting(
  spec: MachineSpec,
  { paths, signal }: { readonly paths: HearthPaths; readonly signal: AbortSignal },
): Promise<WaitingVm> {
  const key = await bootSnapshotKey(spec);
  const directory = await createVmDirectory(join(paths.runtime, 'vms'));
  try {
    const { vm, agent } = await startMachine(spec, {
      paths,
      directory: directory.path,
      hostname: directory.id,
      signal,
    });
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await vm.kill();
      await directory[Symbol.asyncDispose]();
    };
    try {
      await warmUp(agent, signal);
      const channel = agent.release();
      await vm.pause();
      return {
        id: directory.id,
        key,
        exited: vm.exited,
        claim: async () => {
          await vm.resume();
          return channel;
        },
        close: () => {
          closing ??= close();
          return closing;
        },
      };
    } catch (error) {
      await vm.kill();
      throw error;
    }
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}

/** Runs the shortest command, so that the way to a process has been translated when it counts. */
async function warmUp(agent: AgentClient, signal: AbortSignal): Promise<void> {
  const process = agent.exec({ argv: ['/bin/sh', '-c', ':'], timeoutMs: WARM_UP_TIMEOUT_MS }, { signal });
  process.stdout.resume();
  process.stderr.resume();
  await process.exited.catch((error: unknown) => {
    if (!HearthError.is(error) || error.code.startsWith('AGENT_')) throw error;
  });
}
