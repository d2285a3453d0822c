/** `hearth env pull`, `register`, `prune`, `rm`: what changes the installed environments. */
import { resolve } from 'node:path';
import { formatSize, parseSize } from '../../bytes/index.js';
import { type Environment, type EnvironmentStore, parseLockfile } from '../../environments/index.js';
import { HearthError } from '../../errors/index.js';
import { readFileBounded } from '../../fsx/index.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { environmentPhase } from '../environment-phase.js';
import { environments } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import type { PreparedEnvironment } from '../prepare-environment.js';
import type { Progress } from '../progress.js';
import { JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';
import { escapeControls } from '../terminal.js';

const MAX_LOCKFILE_BYTES = 4 * 1024 * 1024;

/** The given options under the names that the store knows them by. */
function present(entries: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function report(
  args: ParsedArguments,
  context: CommandContext,
  made: readonly Environment[],
  prepared: readonly PreparedEnvironment[] = [],
): void {
  const described = made.map((environment, index) => {
    const snapshot = prepared[index]?.snapshot;
    return { ...describe(environment), ...(snapshot === undefined ? {} : { snapshot }) };
  });
  if (args.flag('json'))
    printJson(context, made.length === 1 ? { ...described[0] } : { environments: described });
  else for (const { name } of made) context.stdout.write(`${name}\n`);
}

function describe(environment: Environment | undefined) {
  if (environment === undefined) return {};
  const { installManifest, kernelPath, rootfsPath, initrdPath, ...rest } = environment;
  return {
    ...rest,
    install_manifest: installManifest,
    kernel_image: kernelPath,
    rootfs_image: rootfsPath,
    initrd_image: initrdPath ?? null,
  };
}

export const envPull: Command = {
  name: 'env pull',
  summary: 'Make an environment of the catalog, or any image, bootable',
  usage: '[OPTIONS] ENVIRONMENT|IMAGE | --locked FILE',
  options: {
    name: { type: 'string', value: 'NAME', help: 'Name for an image; default: made from its reference' },
    kernel: { type: 'string', value: 'NAME', help: 'Kernel to boot it with' },
    size: { type: 'string', value: 'SIZE', help: 'Size of the root file system' },
    platform: { type: 'string', value: 'OS/ARCH', help: 'Platform of the image (default linux/amd64)' },
    force: { type: 'boolean', help: 'Install again what is installed and whole' },
    locked: { type: 'string', value: 'FILE', help: 'Install exactly what a lock file says, or fail' },
    prepare: { type: 'boolean', help: 'Boot it once and freeze it, so that its first start resumes' },
    offline: { type: 'boolean', help: 'Never touch the network' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 0, most: 1 },
  examples: ['hearth env pull debian:12', 'hearth env pull ghcr.io/some/org/my-image:v2.1 --size 8G'],
  async run(args, context) {
    const [target] = args.positionals;
    const locked = args.text('locked');
    if ((target === undefined) === (locked === undefined)) {
      throw new HearthError(
        'USAGE_INVALID',
        'hearth env pull takes an environment, an image or --locked FILE',
        {
          hint: 'Type `hearth env list` for the names of the catalog.',
        },
      );
    }
    const store = await environments(context, args.flag('offline'));
    const progress = progressFor(args, context, args.flag('json') ? 'none' : 'plain');
    const size = args.text('size');
    const options = {
      ...present({ name: args.text('name'), kernel: args.text('kernel'), platform: args.text('platform') }),
      ...(size === undefined ? {} : { sizeBytes: parseSize(size) }),
      force: args.flag('force'),
      onProgress: environmentPhase(progress),
    };
    await withInterrupt(async (signal) => {
      const made =
        locked === undefined
          ? [await store.pull(target ?? '', { ...options, signal })]
          : await pullLocked(store, locked, { ...options, signal });
      const prepared = args.flag('prepare')
        ? await prepareAll(store, made, context, { signal, progress })
        : [];
      progress.finish();
      report(args, context, made, prepared);
    }).finally(() => progress.finish());
    return 0;
  },
};

/** With the limits that `hearth run` has by default. */
async function prepareAll(
  store: EnvironmentStore,
  made: readonly Environment[],
  context: CommandContext,
  options: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<PreparedEnvironment[]> {
  const { defaultMachineWishes } = await import('../machine-options.js');
  const { prepareEnvironment } = await import('../prepare-environment.js');
  const wishes = await defaultMachineWishes(context);
  const prepared: PreparedEnvironment[] = [];
  for (const { name } of made) {
    const environment = await store.ensureInstalled(name, { signal: options.signal });
    prepared.push(await prepareEnvironment(environment, wishes, context, options));
  }
  return prepared;
}

async function pullLocked(
  store: EnvironmentStore,
  path: string,
  options: Parameters<EnvironmentStore['pullLocked']>[1],
) {
  const text = await readFileBounded(resolve(path), MAX_LOCKFILE_BYTES);
  return await store.pullLocked(parseLockfile(text.toString('utf8')), options);
}

export const envRegister: Command = {
  name: 'env register',
  summary: 'Make an ext4 image and a kernel of your own an environment',
  usage: '--rootfs FILE [OPTIONS] NAME',
  options: {
    rootfs: { type: 'string', value: 'FILE', help: 'The ext4 image; required' },
    kernel: { type: 'string', value: 'NAME|FILE', help: 'A kernel bundle, or a vmlinux or vmlinuz file' },
    initrd: { type: 'string', value: 'FILE', help: 'An initrd that holds the guest agent' },
    modules: { type: 'string', value: 'DIR', help: "The kernel file's /lib/modules/RELEASE" },
    force: { type: 'boolean', help: 'Replace an environment registered under this name' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 1, most: 1 },
  examples: ['hearth env register --rootfs disk.ext4 --kernel debian-12-cloud my-disk'],
  async run(args, context) {
    const [name = ''] = args.positionals;
    const rootfs = args.text('rootfs');
    if (rootfs === undefined) {
      throw new HearthError('USAGE_INVALID', 'no root file system given', {
        hint: 'Give one with --rootfs FILE.',
      });
    }
    const kernel = args.text('kernel');
    const isFile = kernel?.includes('/') === true;
    const absolute = (path: string | undefined): string | undefined =>
      path === undefined ? undefined : resolve(path);
    const store = await environments(context);
    const progress = progressFor(args, context, args.flag('json') ? 'none' : 'plain');
    const environment = await withInterrupt((signal) =>
      store.register(name, {
        rootfsPath: resolve(rootfs),
        ...present({
          kernel: isFile ? undefined : kernel,
          kernelPath: isFile ? absolute(kernel) : undefined,
          initrdPath: absolute(args.text('initrd')),
          modulesDirectory: absolute(args.text('modules')),
        }),
        force: args.flag('force'),
        signal,
        onProgress: environmentPhase(progress),
      }),
    ).finally(() => progress.finish());
    report(args, context, [environment]);
    return 0;
  },
};

export const envPrune: Command = {
  name: 'env prune',
  summary: 'Remove partial, damaged and outdated environments; never a valid one',
  usage: '[--dry-run] [--json]',
  options: { 'dry-run': { type: 'boolean', help: 'Only say what would be removed' }, ...JSON_OPTION },
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const store = await environments(context);
    const result = await withInterrupt((signal) => store.prune({ dryRun: args.flag('dry-run'), signal }));
    if (args.flag('json')) printJson(context, { ...result });
    else {
      for (const { path, reason, bytes } of result.removed) {
        context.stdout.write(`${escapeControls(path)}  ${reason}  ${formatSize(bytes)}\n`);
      }
      const verb = result.dryRun ? 'would free' : 'freed';
      context.stdout.write(`${result.count} removed, ${verb} ${formatSize(result.freedBytes)}\n`);
    }
    return 0;
  },
};

export const envRm: Command = {
  name: 'env rm',
  summary: 'Remove environments',
  usage: '[--force] ENVIRONMENT [ENVIRONMENT...]',
  options: { force: { type: 'boolean', short: 'f', help: 'Also when a sandbox uses it' }, ...JSON_OPTION },
  positionals: { least: 1, most: 100 },
  async run(args, context) {
    const store = await environments(context);
    const removed = [];
    for (const name of args.positionals) {
      const result = await withInterrupt((signal) =>
        store.remove(name, { force: args.flag('force'), signal }),
      );
      removed.push(result);
      if (!args.flag('json')) context.stdout.write(`${result.name}\n`);
    }
    if (args.flag('json')) printJson(context, { removed });
    return 0;
  },
};
