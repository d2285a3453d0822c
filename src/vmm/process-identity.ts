/**
 * A process told apart from every other one before and after it: its number alone is used again.
 * Source: proc(5), /proc/PID/stat and /proc/sys/kernel/random/boot_id.
 */
import { readFile, readlink } from 'node:fs/promises';

export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since the host booted, as decimal digits. */
  readonly startTime: string;
  /** Of the host's kernel: start times begin anew with every boot. */
  readonly bootId: string;
}

/** Fields of /proc/PID/stat counted from the third, which follows the last `)`. */
const STATE_FIELD = 0;
const START_TIME_FIELD = 19;

/** @returns undefined when there is no such process, or only what is left of one that has ended. */
export async function readProcessIdentity(pid: number): Promise<ProcessIdentity | undefined> {
  const [stat, bootId] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
  ]);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTime = fields[START_TIME_FIELD];
  const state = fields[STATE_FIELD];
  if (startTime === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTime, bootId: bootId.trim() };
}

/** Whether exactly this process still runs. */
export async function isProcessAlive(identity: ProcessIdentity): Promise<boolean> {
  const now = await readProcessIdentity(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/** The working directory of a process that is a VMM; undefined for any other process. */
export async function vmmDirectory(pid: number): Promise<string | undefined> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  if (!name.startsWith('qemu-system')) return undefined;
  return await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
}
