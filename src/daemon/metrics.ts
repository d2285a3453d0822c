/** Figures of the daemon in the Prometheus text format, version 0.0.4. */
import process from 'node:process';
import { type Runtime, SANDBOX_STATES } from '../sandboxes/index.js';

export class Metrics {
  readonly #startedAt = performance.now();
  readonly #requests = new Map<string, number>();

  /** `outcome` is `ok` or the code of an error. Both words come from closed sets. */
  count(operation: string, outcome: string): void {
    const key = `operation="${operation}",outcome="${outcome}"`;
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1);
  }

  text(runtime: Runtime, processes: number): string {
    const states = runtime.list().map(({ state }) => state);
    return [
      '# HELP hearth_sandboxes Sandboxes by state.',
      '# TYPE hearth_sandboxes gauge',
      ...SANDBOX_STATES.map(
        (state) => `hearth_sandboxes{state="${state}"} ${states.filter((one) => one === state).length}`,
      ),
      '# HELP hearth_attached_processes Commands that a client is attached to.',
      '# TYPE hearth_attached_processes gauge',
      `hearth_attached_processes ${processes}`,
      '# HELP hearth_requests_total Requests by operation and outcome.',
      '# TYPE hearth_requests_total counter',
      ...[...this.#requests].map(([labels, count]) => `hearth_requests_total{${labels}} ${count}`),
      '# HELP hearth_daemon_resident_bytes Memory of the daemon.',
      '# TYPE hearth_daemon_resident_bytes gauge',
      `hearth_daemon_resident_bytes ${process.memoryUsage.rss()}`,
      '# HELP hearth_daemon_uptime_seconds Time since the daemon started.',
      '# TYPE hearth_daemon_uptime_seconds gauge',
      `hearth_daemon_uptime_seconds ${((performance.now() - this.#startedAt) / 1000).toFixed(3)}`,
      '',
    ].join('\n');
  }
}
