/** `hearth update`: what can be changed of a sandbox that there is. */
import type { Command } from '../command.js';
import { NETWORK_OPTIONS, readNetwork } from '../network-options.js';
import { given, LIFETIME_OPTIONS, readLabels, readLimit } from '../sandbox-options.js';
import { readSecrets, SECRET_OPTIONS } from '../secret-options.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';

export const update: Command = {
  name: 'update',
  summary: "Change a sandbox's name, labels, limits, network and secrets",
  usage: '[OPTIONS] SANDBOX',
  options: {
    name: { type: 'string', value: 'NAME', help: 'Its new name' },
    label: { type: 'string', short: 'l', multiple: true, value: 'KEY=VALUE', help: 'Set a label' },
    'remove-label': { type: 'string', multiple: true, value: 'KEY', help: 'Remove a label' },
    ttl: { type: 'string', value: 'DURATION', help: 'Remove it this long after its creation; or none' },
    'idle-timeout': {
      ...LIFETIME_OPTIONS['idle-timeout'],
      help: 'Stop it after this long without a command; or none',
    },
    ...NETWORK_OPTIONS,
    'remove-host': { type: 'string', multiple: true, value: 'HOST', help: 'Take back an --allow-host' },
    ...SECRET_OPTIONS,
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 1 },
  examples: [
    'hearth update --idle-timeout none --label keep=yes dev',
    'hearth update --allow-host pypi.org --remove-host github.com dev',
  ],
  async run(args, context) {
    const [reference = ''] = args.positionals;
    const removed = args.list('remove-label').map((key) => [key, null] as const);
    const labels = { ...readLabels(args.list('label')), ...Object.fromEntries(removed) };
    const secrets = await readSecrets(args, context);
    const service = await openService(context);
    const { sandbox } = await service.call('sandbox.update', {
      sandbox: reference,
      labels,
      ...readNetwork(args),
      ...(secrets.length === 0 ? {} : { secrets }),
      ...given({
        removeHosts: args.list('remove-host').length === 0 ? undefined : [...args.list('remove-host')],
        name: args.text('name'),
        ttlMs: readLimit(args, 'ttl'),
        idleTimeoutMs: readLimit(args, 'idle-timeout'),
      }),
    });
    if (args.flag('json')) printJson(context, { sandbox });
    else context.stdout.write(`${sandbox.name}\n`);
    return 0;
  },
};
