/** Tells what happened in a sandbox, from its journal and what there is now. */
import type { Runtime } from '../sandboxes/index.js';
import { serviceJson } from './background-handlers.js';
import type { HandlersOf } from './handlers.js';
import { renderSummary } from './render-summary.js';
import type { SUMMARY_OPERATIONS, Summary } from './summary-operations.js';

const DEFAULT_EVENTS = 200;
const COMMANDS = new Set(['exec.start', 'exec.run']);

export function summaryHandlers(runtime: Runtime): HandlersOf<typeof SUMMARY_OPERATIONS> {
  return {
    'sandbox.summary': async ({ sandbox, maxEvents = DEFAULT_EVENTS }, { signal }) => {
      const info = runtime.list().find(({ id, name }) => id === sandbox || name === sandbox);
      const { events, since, truncated } = await runtime.journal.history(sandbox);
      const found = info ?? (await runtime.inspect(sandbox)).sandbox;
      const hasDiff = found.state === 'running' && found.workspace !== null;
      const diff = hasDiff ? await runtime.workspaces.diff(sandbox, { maxPatchBytes: 0, signal }) : null;
      const shown = events.slice(Math.max(0, events.length - maxEvents));
      const commands = events.filter(({ operation }) => COMMANDS.has(operation));
      const summary: Omit<Summary, 'text'> = {
        id: found.id,
        name: found.name,
        environment: found.environment,
        state: found.state,
        since,
        events: shown.map((event) => ({ ...event })),
        omittedEvents: events.length - shown.length,
        truncated,
        commandCount: commands.length,
        failedCommandCount: commands.filter(({ exitCode }) => exitCode !== undefined && exitCode !== 0)
          .length,
        changes:
          diff?.files.map(({ path, change, addedLines, removedLines }) => ({
            path,
            change,
            addedLines,
            removedLines,
          })) ?? null,
        services: (await runtime.background.services.list(sandbox)).map(serviceJson),
        snapshots: (await runtime.snapshots.list(sandbox)).map(({ name }) => name),
      };
      return { ...summary, text: renderSummary(summary) };
    },
  };
}
