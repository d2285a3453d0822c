/** Figures of the daemon in the Prometheus text format, version 0.0.4. */
import process from 'node:process';
import { type Runtime, SANDBOX_STATES } from '../sandboxes/index.js';

const BYTES_PER_MIB = 1024 * 1024;

interface Load {
  readonly version: string;
  readonly runtime: Runtime;
  /** Requests under way, without those for figures. */
  readonly requests: number;
  /** Commands that a client is attached to. */
  readonly processes: number;
}

interface Tally {
  count: number;
  seconds: number;
}

export class Metrics {
  readonly #startedAt = performance.now();
  readonly #outcomes = new Map<string, number>();
  readonly #durations = new Map<string, Tally>();

  /**
   * @param outcome `ok` or the code of an error. Both words come from closed sets.
   * @param startedAt By `performance.now()`.
   */
  count(operation: string, outcome: string, startedAt: number): void {
    const key = `operation="${operation}",outcome="${outcome}"`;
    this.#outcomes.set(key, (this.#outcomes.get(key) ?? 0) + 1);
    const tally = this.#durations.get(operation) ?? { count: 0, seconds: 0 };
    tally.count += 1;
    tally.seconds += (performance.now() - startedAt) / 1000;
    this.#durations.set(operation, tally);
  }

  text({ version, runtime, requests, processes }: Load): string {
    const sandboxes = runtime.list();
    const withVm = sandboxes.filter(({ pid }) => pid !== null);
    const sum = (of: (sandbox: (typeof sandboxes)[number]) => number): number =>
      withVm.reduce((total, sandbox) => total + of(sandbox), 0);
    const { user, system } = process.cpuUsage();
    return [
      ...family('hearth_info', 'gauge', 'The version of the daemon.', [
        [`version="${version.replaceAll(/[^\w.+-]/g, '_')}"`, 1],
      ]),
      ...family(
        'hearth_sandboxes',
        'gauge',
        'Sandboxes by state.',
        SANDBOX_STATES.map((state) => [
          `state="${state}"`,
          sandboxes.filter((sandbox) => sandbox.state === state).length,
        ]),
      ),
      ...gauge(
        'hearth_sandboxes_unresponsive',
        'Running sandboxes whose agent does not answer.',
        sandboxes.filter(({ health }) => health === 'unresponsive').length,
      ),
      ...gauge('hearth_vms', 'Virtual machines that there are.', withVm.length),
      ...gauge(
        'hearth_vm_cpus',
        'Processors that the virtual machines have.',
        sum(({ cpus }) => cpus),
      ),
      ...gauge(
        'hearth_vm_memory_bytes',
        'Memory that the virtual machines may take.',
        sum(({ memoryMib }) => memoryMib * BYTES_PER_MIB),
      ),
      ...gauge('hearth_attached_processes', 'Commands that a client is attached to.', processes),
      ...gauge('hearth_requests_active', 'Requests under way.', requests),
      ...family('hearth_requests_total', 'counter', 'Requests by operation and outcome.', [
        ...this.#outcomes,
      ]),
      ...this.#durationLines(),
      ...gauge('hearth_daemon_resident_bytes', 'Memory of the daemon.', process.memoryUsage.rss()),
      ...family('hearth_daemon_cpu_seconds_total', 'counter', 'Processor time of the daemon.', [
        ['', (user + system) / 1e6],
      ]),
      ...gauge(
        'hearth_daemon_uptime_seconds',
        'Time since the daemon started.',
        (performance.now() - this.#startedAt) / 1000,
      ),
      '',
    ].join('\n');
  }

  /** A summary without quantiles: how many, and how long in all. */
  #durationLines(): string[] {
    const name = 'hearth_request_duration_seconds';
    const lines = [...this.#durations].flatMap(([operation, { count, seconds }]) => [
      `${name}_sum{operation="${operation}"} ${number(seconds)}`,
      `${name}_count{operation="${operation}"} ${count}`,
    ]);
    return [`# HELP ${name} Time that requests took, by operation.`, `# TYPE ${name} summary`, ...lines];
  }
}

type Sample = readonly [labels: string, value: number];

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string[] {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([labels, value]) => `${name}${labels === '' ? '' : `{${labels}}`} ${number(value)}`),
  ];
}

function gauge(name: string, help: string, value: number): string[] {
  return family(name, 'gauge', help, [['', value]]);
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(6);
}
