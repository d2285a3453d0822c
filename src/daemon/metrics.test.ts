import { describe, expect, it } from 'vitest';
import type { Runtime } from '../sandboxes/index.js';
import { Metrics } from './metrics.js';

const sandboxes = [
  { state: 'running', health: 'responsive', pid: 10, cpus: 2, memoryMib: 256 },
  { state: 'running', health: 'unresponsive', pid: 11, cpus: 1, memoryMib: 512 },
  { state: 'stopped', health: null, pid: null, cpus: 8, memoryMib: 4096 },
];
const load = {
  version: '1.2.3',
  runtime: { list: () => sandboxes } as unknown as Runtime,
  requests: 4,
  processes: 3,
};

describe('the figures', () => {
  it('tell of sandboxes, virtual machines, requests and the daemon', () => {
    const metrics = new Metrics();
    const now = performance.now();
    metrics.count('sandbox.start', 'ok', now - 1000);
    metrics.count('sandbox.start', 'ok', now - 500);
    metrics.count('sandbox.start', 'SANDBOX_NOT_FOUND', now);
    const lines = metrics.text(load).split('\n');
    for (const line of [
      'hearth_info{version="1.2.3"} 1',
      'hearth_sandboxes{state="running"} 2',
      'hearth_sandboxes{state="stopped"} 1',
      'hearth_sandboxes{state="failed"} 0',
      'hearth_sandboxes_unresponsive 1',
      'hearth_vms 2',
      'hearth_vm_cpus 3',
      `hearth_vm_memory_bytes ${768 * 1024 ** 2}`,
      'hearth_attached_processes 3',
      'hearth_requests_active 4',
      'hearth_requests_total{operation="sandbox.start",outcome="ok"} 2',
      'hearth_requests_total{operation="sandbox.start",outcome="SANDBOX_NOT_FOUND"} 1',
      'hearth_request_duration_seconds_count{operation="sandbox.start"} 3',
    ]) {
      expect(lines).toContain(line);
    }
    const sum = /^hearth_request_duration_seconds_sum\{operation="sandbox.start"\} (\S+)$/m.exec(
      lines.join('\n'),
    );
    expect(Number(sum?.[1])).toBeGreaterThanOrEqual(1.5);
  });

  it('are in the text format: each family described once, each line one sample', () => {
    const metrics = new Metrics();
    metrics.count('unknown', 'REQUEST_INVALID', 0);
    const text = metrics.text({ ...load, version: 'a"b\n' });
    expect(text.endsWith('\n')).toBe(true);
    const families: string[] = [];
    for (const line of text.trimEnd().split('\n')) {
      const [, family] = /^# HELP (\w+) .+\.$/.exec(line) ?? [];
      if (family !== undefined) families.push(family);
      else if (line.startsWith('# TYPE')) {
        expect(line).toMatch(new RegExp(`^# TYPE ${families.at(-1)} (?:gauge|counter|summary)$`));
      } else {
        expect(line).toMatch(/^\w+(?:\{\w+="[\w.+-]+"(?:,\w+="[\w.]+")?\})? \d+(?:\.\d+)?$/);
        expect(line.startsWith(families.at(-1) ?? '-')).toBe(true);
      }
    }
    expect(new Set(families).size).toBe(families.length);
  });
});
