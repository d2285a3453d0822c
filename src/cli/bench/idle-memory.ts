/** What a VM that does nothing takes of the host's memory for itself alone. */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { KIB } from '../../bytes/index.js';
import type { Program } from './time-program.js';

export interface IdleMemory {
  /** Written by this VM; nobody shares it. */
  readonly privateBytes: number;
  /** With its part of what VMs share, as the kernel counts it (PSS). */
  readonly proportionalBytes: number;
}

const START_TIMEOUT_MS = 60_000;
/** Until what a start leaves to be done is done. */
const SETTLE_MS = 1000;

/**
 * Starts the program, which must run a command that prints and then waits, in a VM; measures the VMM below it.
 *
 * @returns undefined when it does not start, or the kernel does not say.
 */
export async function measureIdleMemory(
  { command, args }: Program,
  signal: AbortSignal,
): Promise<IdleMemory | undefined> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], signal: bounded });
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  try {
    const printed = new Promise<boolean>((resolve) => {
      child.stdout.once('data', () => resolve(true));
    });
    if (!(await Promise.race([printed, gone.then(() => false)]))) return undefined;
    await sleep(SETTLE_MS, undefined, { signal });
    const vmm = await childOf(child.pid ?? -1);
    return vmm === undefined ? undefined : parseRollup(await readFile(`/proc/${vmm}/smaps_rollup`, 'utf8'));
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    child.kill('SIGINT');
    await gone;
  }
}

async function childOf(pid: number): Promise<string | undefined> {
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const children = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8');
    const [first] = children.split(' ').filter((word) => word !== '');
    if (first !== undefined) return first;
  }
  return undefined;
}

/** Of proc(5), `smaps_rollup`. */
export function parseRollup(text: string): IdleMemory | undefined {
  const bytes = (key: string): number | undefined => {
    const kib = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    return kib === undefined ? undefined : Number(kib) * KIB;
  };
  const [privateBytes, proportionalBytes] = [bytes('Private_Dirty'), bytes('Pss')];
  return privateBytes === undefined || proportionalBytes === undefined
    ? undefined
    : { privateBytes, proportionalBytes };
}
