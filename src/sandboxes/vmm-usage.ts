/** What a VM costs its host. Source: proc(5), /proc/PID/stat and /proc/PID/smaps_rollup. */
import { readFile } from 'node:fs/promises';

export interface VmmUsage {
  /** Processor time of the VMM since it started, ms. */
  readonly cpuMs: number;
  /** Memory of the host that is there for this VM alone, bytes. */
  readonly privateBytes: number;
  /** With what it shares with others, bytes. */
  readonly residentBytes: number;
}

/** sysconf(_SC_CLK_TCK) of every Linux that Node runs on. */
const TICK_MS = 10;
const USER_TIME_FIELD = 11;
const SYSTEM_TIME_FIELD = 12;

/** @returns undefined when the process is gone. */
export async function vmmUsage(pid: number): Promise<VmmUsage | undefined> {
  try {
    const [stat, rollup] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/smaps_rollup`, 'utf8'),
    ]);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[USER_TIME_FIELD]) + Number(fields[SYSTEM_TIME_FIELD]);
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup)?.[1] ?? 0) * 1024;
    return {
      cpuMs: ticks * TICK_MS,
      privateBytes: bytes('Private_Clean') + bytes('Private_Dirty'),
      residentBytes: bytes('Rss'),
    };
  } catch {
    return undefined;
  }
}
