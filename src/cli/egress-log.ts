/** Shows what a sandbox has connected to, or was refused. */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatSize } from '../bytes/index.js';
import type { OperationOutput, Service } from '../contract/index.js';
import type { CommandContext } from './command.js';
import { escapeControls } from './terminal.js';

type EgressEvent = OperationOutput<'sandbox.egress'>['events'][number];

interface EgressLogOptions {
  readonly follow: boolean;
  /** One JSON document a line. */
  readonly json: boolean;
  readonly signal: AbortSignal;
}

const FOLLOW_MS = 300;

export async function showEgress(
  service: Service,
  sandbox: string,
  { stdout }: CommandContext,
  { follow, json, signal }: EgressLogOptions,
): Promise<void> {
  let cursor: string | undefined;
  for (;;) {
    const piece = await service.call('sandbox.egress', {
      sandbox,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const lines = piece.events.map((event) => (json ? JSON.stringify(event) : egressLine(event)));
    stdout.write(lines.map((line) => `${line}\n`).join(''));
    cursor = piece.cursor;
    if (!follow) return;
    await sleep(FOLLOW_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** `2026-11-21 12:31:02Z  allowed  github.com:443  completed  1.2 KiB up  35 KiB down`. */
export function egressLine(event: EgressEvent): string {
  const { at, decision, host, port, reason, bytesUp, bytesDown, omittedBefore } = event;
  const target = host === '' ? '-' : `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const columns = [
    `${at.slice(0, 19).replace('T', ' ')}Z`,
    decision.padEnd(7),
    escapeControls(target),
    reason,
    ...(bytesUp + bytesDown === 0 ? [] : [`${formatSize(bytesUp)} up`, `${formatSize(bytesDown)} down`]),
    ...(omittedBefore === undefined ? [] : [`(${omittedBefore} more before this)`]),
  ];
  return columns.join('  ');
}
