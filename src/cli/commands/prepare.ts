/** `hearth prepare`: everything that makes the next start of an environment a warm one, done ahead. */
import { formatDuration } from '../../bytes/index.js';
import type { Command } from '../command.js';
import { environmentPhase } from '../environment-phase.js';
import { environments } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import { MACHINE_OPTIONS, machineWishes } from '../machine-options.js';
import { prepareEnvironment } from '../prepare-environment.js';
import { JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';

export const prepare: Command = {
  name: 'prepare',
  summary: 'Install an environment, boot it once and freeze it, so that its next start resumes',
  usage: '[OPTIONS] [ENVIRONMENT|IMAGE]',
  options: {
    ...MACHINE_OPTIONS,
    verify: { type: 'boolean', help: 'Hash what is there, and make it anew when it is damaged' },
    offline: { type: 'boolean', help: 'Never touch the network' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 0, most: 1 },
  examples: ['hearth prepare debian:12', 'hearth prepare --memory 1G --cpus 2 debian:12-build'],
  async run(args, context) {
    const wishes = await machineWishes(args, context);
    const progress = progressFor(args, context, args.flag('json') ? 'none' : 'plain');
    const startedAt = performance.now();
    const store = await environments(context, args.flag('offline'));
    const result = await withInterrupt(async (signal) => {
      const onProgress = environmentPhase(progress);
      const environment = await store.ensureInstalled(args.positionals[0], { signal, onProgress });
      const verify = args.flag('verify');
      return await prepareEnvironment(environment, wishes, context, { signal, progress, verify });
    }).finally(() => progress.finish());
    const durationMs = Math.round(performance.now() - startedAt);
    const { environment, accelerator, snapshot } = result;
    if (args.flag('json')) {
      printJson(context, { environment, accelerator, made: snapshot.isNew, snapshot, durationMs });
    } else {
      const how = snapshot.isNew ? `made ready in ${formatDuration(durationMs)}` : 'was ready';
      context.stdout.write(`${environment} ${how}: ${snapshot.reason}\n`);
    }
    return 0;
  },
};
