/** `hearth create`: a sandbox, kept until it is removed. */
import type { Command } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { PIDS_OPTION, readPidsLimit } from '../limit-options.js';
import { MACHINE_OPTIONS, machineWishes } from '../machine-options.js';
import { NETWORK_OPTIONS, readNetwork } from '../network-options.js';
import {
  ENV_OPTIONS,
  given,
  LIFETIME_OPTIONS,
  readLabels,
  readLimit,
  readVariables,
} from '../sandbox-options.js';
import { readSecrets, SECRET_OPTIONS } from '../secret-options.js';
import { readSeed, SEED_OPTIONS, tellLeftOut } from '../seed-options.js';
import { openService, sandboxPhase } from '../service.js';
import { COLD_OPTION, JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';

export const create: Command = {
  name: 'create',
  summary: 'Make a sandbox that is kept; it is pulled first when it is not installed',
  usage: '[OPTIONS] IMAGE',
  options: {
    name: { type: 'string', value: 'NAME', help: 'Its name (default: one made from the image)' },
    label: { type: 'string', short: 'l', multiple: true, value: 'KEY=VALUE', help: 'Set a label' },
    start: { type: 'boolean', help: 'Start it, too' },
    ...COLD_OPTION,
    ...ENV_OPTIONS,
    ...MACHINE_OPTIONS,
    ...PIDS_OPTION,
    ...LIFETIME_OPTIONS,
    ...NETWORK_OPTIONS,
    ...SECRET_OPTIONS,
    publish: {
      type: 'string',
      short: 'p',
      multiple: true,
      value: '[[ADDR:]PORT:]PORT',
      help: 'Carry connections to a port of 127.0.0.1 here into the guest',
    },
    ...SEED_OPTIONS,
    platform: { type: 'string', value: 'OS/ARCH', help: 'Platform of the image (default linux/amd64)' },
    offline: { type: 'boolean', help: 'Never touch the network' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 1, most: 1 },
  examples: [
    'hearth create --start --name dev debian:12',
    'hearth create --start --name fix --seed-path . debian:12',
    'hearth create --memory 1G --disk 8G --idle-timeout 30m --label team=web debian:12',
  ],
  async run(args, context) {
    const progress = progressFor(args, context, 'none');
    const [image = ''] = args.positionals;
    const { cpus, memoryMib, diskBytes, accelerator } = await machineWishes(args, context);
    const secrets = await readSecrets(args, context);
    const input = {
      image,
      cpus,
      memoryMib,
      accelerator,
      ports: [...args.list('publish')],
      labels: readLabels(args.list('label')),
      env: await readVariables(args, context),
      offline: args.flag('offline'),
      ...readNetwork(args),
      ...(secrets.length === 0 ? {} : { secrets }),
      ...given({
        diskBytes,
        workspace: readSeed(args),
        pidsLimit: readPidsLimit(args),
        name: args.text('name'),
        workdir: args.text('workdir'),
        user: args.text('user'),
        platform: args.text('platform'),
        ttlMs: readLimit(args, 'ttl') ?? undefined,
        idleTimeoutMs: readLimit(args, 'idle-timeout') ?? undefined,
      }),
    };
    const { sandbox } = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const options = { signal, onProgress: sandboxPhase(progress, 'create') };
      const created = await service.call('sandbox.create', input, options);
      if (!args.flag('start')) return created;
      const start = { sandbox: created.sandbox.id, cold: args.flag('cold') };
      return await service.call('sandbox.start', start, options);
    }).finally(() => progress.finish());
    if (args.flag('json')) printJson(context, { sandbox });
    else {
      context.stdout.write(`${sandbox.name}\n`);
      if (sandbox.workspace !== null) tellLeftOut(sandbox.workspace.leftOut, '--seed-all', context);
    }
    return 0;
  },
};
