/** Sandboxes as rows that fit a terminal of 80 columns. */
import { formatSize } from '../bytes/index.js';
import type { OperationOutput } from '../contract/index.js';
import { escapeControls, table } from './terminal.js';

type Listed = OperationOutput<'sandbox.list'>['sandboxes'][number];
type Stats = OperationOutput<'sandbox.stats'>;

const NAME_CHARS = 20;
const ENVIRONMENT_CHARS = 20;

export function sandboxTable(sandboxes: readonly Listed[], now: number): string {
  const rows = sandboxes.map((sandbox) => [
    cut(sandbox.name, NAME_CHARS),
    sandbox.id,
    cut(sandbox.environment, ENVIRONMENT_CHARS),
    stateWord(sandbox),
    age(now - Date.parse(sandbox.startedAt ?? sandbox.createdAt)),
  ]);
  return table(['NAME', 'ID', 'ENVIRONMENT', 'STATE', 'AGE'], rows);
}

/** Two samples of each sandbox, some time apart, give its share of the processors. */
export function statsTable(samples: ReadonlyArray<readonly [Stats, Stats]>): string {
  const rows = samples.map(([first, second]) => {
    const { host, guest } = second;
    return [
      cut(second.name, NAME_CHARS),
      `${cpuPercent(first, second).toFixed(1)}%`,
      formatSize(host.privateBytes),
      guest === null
        ? '-'
        : `${formatSize(guest.memoryTotalBytes - guest.memoryAvailableBytes)} / ${formatSize(guest.memoryTotalBytes)}`,
      guest === null
        ? '-'
        : `${formatSize(guest.diskTotalBytes - guest.diskAvailableBytes)} / ${formatSize(guest.diskTotalBytes)}`,
      guest === null ? '-' : String(guest.processCount),
    ];
  });
  return table(['NAME', 'CPU', 'HOST MEM', 'GUEST MEM', 'DISK', 'TASKS'], rows);
}

/** Of one processor. */
export function cpuPercent(first: Stats, second: Stats): number {
  const elapsedMs = second.atMs - first.atMs;
  return elapsedMs <= 0 ? 0 : Math.max(0, ((second.host.cpuMs - first.host.cpuMs) / elapsedMs) * 100);
}

function stateWord({ state, stopReason, health }: Listed): string {
  if (health === 'unresponsive') return `${state} (unresponsive)`;
  return state === 'stopped' && stopReason !== null && stopReason !== 'stop'
    ? `${state} (${stopReason})`
    : state;
}

/** A span of time in its two largest units: `3 d 4 h`. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function cut(text: string, chars: number): string {
  const safe = escapeControls(text);
  return safe.length <= chars ? safe : `${safe.slice(0, chars - 1)}…`;
}
