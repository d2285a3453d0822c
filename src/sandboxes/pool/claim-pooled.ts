/** A VM from the daemon's pool, for a command that would otherwise start one. */
import { connect, type Socket } from 'node:net';
import { type AgentClient, connectAgent } from '../../agent/index.js';
import type { HearthPaths } from '../../fsx/index.js';
import { bootSnapshotKey } from '../boot-snapshots/boot-snapshot.js';
import type { MachineSpec } from '../machine-spec.js';
import { POOL_PROTOCOL, poolSocketPath, readJsonLine } from './pool-socket.js';

export interface PooledMachine {
  readonly agent: AgentClient;
  /** Resolves when the VM is gone, or nobody will say so any more. */
  close(): Promise<void>;
}

/** A pool that does not answer is none: a start takes a third of a second. */
const ANSWER_TIMEOUT_MS = 10_000;
const GREETING_TIMEOUT_MS = 15_000;
const END_TIMEOUT_MS = 5000;

/**
 * @returns undefined when the pool has none that fits, or anything goes wrong: then a start of its own is what is left.
 *   Rejects with `signal.reason` when aborted.
 */
export async function claimPooled(
  spec: MachineSpec,
  { paths, signal }: { readonly paths: HearthPaths; readonly signal?: AbortSignal },
): Promise<PooledMachine | undefined> {
  let socket: Socket | undefined;
  try {
    const key = await bootSnapshotKey(spec);
    socket = await connected(poolSocketPath(paths));
    const answer = readJsonLine(socket, ANSWER_TIMEOUT_MS);
    socket.write(`${JSON.stringify({ protocol: POOL_PROTOCOL, key })}\n`);
    if (!isVm(await answer)) {
      socket.destroy();
      return undefined;
    }
    const timeoutMs = GREETING_TIMEOUT_MS;
    const greeted = connectAgent(socket, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
    socket.resume();
    return machineOf(await greeted, socket);
  } catch {
    socket?.destroy();
    signal?.throwIfAborted();
    return undefined;
  }
}

function machineOf(agent: AgentClient, socket: Socket): PooledMachine {
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // The daemon closes its half when the VM is gone.
    await new Promise<void>((resolve) => {
      if (socket.closed) {
        resolve();
        return;
      }
      const timer = setTimeout(resolve, END_TIMEOUT_MS);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.end();
    });
    agent.close();
  };
  return {
    agent,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // What follows it, the end of the channel, is what counts.
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}

function isVm(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'vm' in answer && typeof answer.vm === 'string';
}
