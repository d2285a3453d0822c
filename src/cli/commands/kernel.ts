/** `hearth kernel …`: the kernels that guests boot. */
import { resolve } from 'node:path';
import { formatSize } from '../../bytes/index.js';
import {
  DEFAULT_KERNEL_NAME,
  KERNEL_SOURCES,
  type KernelBundle,
  type KernelStore,
  openKernelStore,
} from '../../kernels/index.js';
import type { Command, CommandContext } from '../command.js';
import { kernelsDirectory } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import { JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

const store = (context: CommandContext): KernelStore => openKernelStore(kernelsDirectory(context));

function summary({ name, release, origin, digest, directory, files, modules }: KernelBundle) {
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  return { name, release, origin, digest, directory, sizeBytes, moduleCount: modules.length };
}

export const kernelList: Command = {
  name: 'kernel list',
  summary: 'List the installed kernels',
  usage: '[--json]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const entries = await store(context).list();
    if (args.flag('json')) {
      const kernels = entries.map((entry) =>
        entry.state === 'ready'
          ? { state: entry.state, ...summary(entry.bundle) }
          : { state: entry.state, name: entry.name, error: entry.error.toJSON() },
      );
      printJson(context, { kernels });
      return 0;
    }
    const available = Object.keys(KERNEL_SOURCES).filter(
      (name) => !entries.some((entry) => entry.name === name),
    );
    const rows = entries.map((entry) =>
      entry.state === 'ready'
        ? [
            entry.name,
            entry.bundle.release,
            formatSize(summary(entry.bundle).sizeBytes),
            entry.bundle.origin.kind,
          ]
        : [entry.name, 'damaged', '', escapeControls(entry.error.message)],
    );
    const rest = available.map((name) => [name, '-', '', 'not installed']);
    context.stdout.write(table(['NAME', 'RELEASE', 'SIZE', 'FROM'], [...rows, ...rest]));
    return 0;
  },
};

export const kernelPull: Command = {
  name: 'kernel pull',
  summary: 'Fetch a kernel by name, replacing an installed one',
  usage: '[OPTIONS] [NAME]',
  options: { ...JSON_OPTION, ...PROGRESS_OPTIONS },
  positionals: { least: 0, most: 1 },
  async run(args, context) {
    const name = args.positionals[0] ?? DEFAULT_KERNEL_NAME;
    const progress = progressFor(args, context, 'plain');
    const bundle = await withInterrupt((signal) =>
      store(context).pull(name, {
        signal,
        onProgress: (note) => progress.update('pull', name, { phase: 'kernel', note }),
      }),
    ).finally(() => progress.finish());
    if (args.flag('json')) printJson(context, { kernel: summary(bundle) });
    else context.stdout.write(`${bundle.name} ${bundle.release}\n`);
    return 0;
  },
};

export const kernelImport: Command = {
  name: 'kernel import',
  summary: 'Make a kernel on disk bootable: a vmlinuz or vmlinux and its modules',
  usage: '[OPTIONS] KERNEL',
  options: {
    name: { type: 'string', value: 'NAME', help: 'Name of the bundle; required' },
    modules: { type: 'string', value: 'DIR', help: 'Its /lib/modules/RELEASE directory' },
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 1 },
  examples: [
    'hearth kernel import /boot/vmlinuz-6.1.0-25-amd64 --modules /lib/modules/6.1.0-25-amd64 --name host',
  ],
  async run(args, context) {
    const [kernelPath = ''] = args.positionals;
    const modules = args.text('modules');
    const bundle = await withInterrupt((signal) =>
      store(context).import(args.text('name') ?? '', {
        kernelPath: resolve(kernelPath),
        ...(modules === undefined ? {} : { modulesDirectory: resolve(modules) }),
        signal,
      }),
    );
    if (args.flag('json')) printJson(context, { kernel: summary(bundle) });
    else context.stdout.write(`${bundle.name} ${bundle.release}\n`);
    return 0;
  },
};

export const kernelInspect: Command = {
  name: 'kernel inspect',
  summary: 'Show everything about a kernel as JSON; --verify hashes its files first',
  usage: '[--verify] NAME',
  options: { verify: { type: 'boolean', help: 'Hash every file against its record' } },
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [name = ''] = args.positionals;
    const kernels = store(context);
    const bundle = args.flag('verify')
      ? await withInterrupt((signal) => kernels.verify(name, { signal }))
      : await kernels.get(name);
    printJson(context, { kernel: { ...bundle }, ...(args.flag('verify') ? { verified: true } : {}) });
    return 0;
  },
};

export const kernelRm: Command = {
  name: 'kernel rm',
  summary: 'Remove kernels',
  usage: 'NAME [NAME...]',
  options: {},
  positionals: { least: 1, most: 100 },
  async run(args, context) {
    for (const name of args.positionals) {
      await store(context).remove(name);
      context.stdout.write(`${name}\n`);
    }
    return 0;
  },
};
