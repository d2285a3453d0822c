/** `hearth disk …`: templates and the clones that VMs write to, also usable without any sandbox. */
import { formatSize, parseSize } from '../../bytes/index.js';
import {
  type CloneForVmOptions,
  type RootfsClone,
  RootfsRegistry,
  type TemplateSource,
} from '../../disks/index.js';
import { HearthError } from '../../errors/index.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { environments } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { table } from '../terminal.js';

/** The registry of the directories that the environment names; installed environments are templates too. */
function registry(context: CommandContext): RootfsRegistry {
  const installed: TemplateSource = async () => {
    const store = await environments(context);
    const names = (await store.list()).filter(({ state }) => state === 'installed').map(({ name }) => name);
    const found = await Promise.all(names.map(async (name) => (await store.inspect(name)).environment));
    return found.flatMap((environment) =>
      environment === undefined
        ? []
        : [{ name: environment.name.replaceAll(':', '_'), path: environment.rootfsPath }],
    );
  };
  return RootfsRegistry.fromEnv(context.env, { sources: [installed] });
}

function printClone(args: ParsedArguments, context: CommandContext, clone: RootfsClone): void {
  if (args.flag('json')) printJson(context, { clone });
  else context.stdout.write(`${clone.path}\n`);
}

export const diskTemplates: Command = {
  name: 'disk templates',
  summary: 'List the root file systems that disks can be cloned from',
  usage: '[--json]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const templates = await registry(context).templates();
    if (args.flag('json')) printJson(context, { templates });
    else {
      const rows = templates.map(({ name, sizeBytes, sha256, path }) => [
        name,
        formatSize(sizeBytes),
        sha256.slice(0, 12),
        path,
      ]);
      context.stdout.write(table(['NAME', 'SIZE', 'SHA256', 'PATH'], rows));
    }
    return 0;
  },
};

export const diskClone: Command = {
  name: 'disk clone',
  summary: 'Give a VM its own writable copy of a template',
  usage: '[OPTIONS] VM TEMPLATE',
  options: {
    size: { type: 'string', value: 'SIZE', help: 'Size of the disk, at least that of the template' },
    format: { type: 'string', value: 'FORMAT', help: 'raw (default), qcow2, or auto for the cheapest' },
    'read-only': { type: 'boolean', help: 'Nobody will write to it: a hard link will do' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [vm = '', template = ''] = args.positionals;
    const size = args.text('size');
    const clone = await withInterrupt((signal) => {
      const options: CloneForVmOptions = {
        ...formatOption(args.text('format')),
        readOnly: args.flag('read-only'),
        signal,
      };
      const disks = registry(context);
      return size === undefined
        ? disks.cloneForVm(vm, template, options)
        : disks.cloneForVmWithSize(vm, template, parseSize(size), options);
    });
    printClone(args, context, clone);
    return 0;
  },
};

function formatOption(text: string | undefined): Pick<CloneForVmOptions, 'format'> {
  if (text === undefined) return {};
  if (text === 'raw' || text === 'qcow2' || text === 'auto') return { format: text };
  throw new HearthError('USAGE_INVALID', `no disk format ${JSON.stringify(text.slice(0, 64))}`, {
    hint: 'Use --format raw, qcow2 or auto.',
    details: { format: text.slice(0, 64) },
  });
}

export const diskResize: Command = {
  name: 'disk resize',
  summary: "Grow a VM's disk; it never shrinks",
  usage: 'VM SIZE',
  options: JSON_OPTION,
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [vm = '', size = ''] = args.positionals;
    const clone = await withInterrupt((signal) => registry(context).resize(vm, parseSize(size), { signal }));
    printClone(args, context, clone);
    return 0;
  },
};

export const diskInspect: Command = {
  name: 'disk inspect',
  summary: "Show everything about a VM's disk, or list all of them, as JSON",
  usage: '[VM]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 1 },
  async run(args, context) {
    const [vm] = args.positionals;
    const disks = registry(context);
    if (vm === undefined) printJson(context, { clones: await disks.clones() });
    else printJson(context, { clone: await disks.inspect(vm) });
    return 0;
  },
};

export const diskRelease: Command = {
  name: 'disk release',
  summary: "Remove VMs' disks",
  usage: 'VM [VM...]',
  options: {},
  positionals: { least: 1, most: 100 },
  async run(args, context) {
    const disks = registry(context);
    for (const vm of args.positionals) {
      await withInterrupt((signal) => disks.release(vm, { signal }));
      context.stdout.write(`${vm}\n`);
    }
    return 0;
  },
};
