/** `hearth cache …`: what hearth keeps on disk, and why. */
import { formatSize, parseDuration, parseSize } from '../../bytes/index.js';
import type { Command } from '../command.js';
import { environments } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

export const cacheDf: Command = {
  name: 'cache df',
  summary: 'Show what hearth keeps on disk, how much of it, and why',
  usage: '[--items] [--json]',
  options: { items: { type: 'boolean', help: 'Every item, not only sums' }, ...JSON_OPTION },
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const usage = await (await environments(context)).cacheUsage();
    if (args.flag('json')) {
      printJson(context, { ...usage });
      return 0;
    }
    const kinds = Object.entries(usage.kinds).map(([kind, { count, apparentBytes, allocatedBytes }]) => [
      kind,
      String(count),
      formatSize(apparentBytes),
      formatSize(allocatedBytes),
    ]);
    const sum = ['total', '', formatSize(usage.total.apparentBytes), formatSize(usage.total.allocatedBytes)];
    context.stdout.write(table(['KIND', 'COUNT', 'APPARENT', 'ON DISK'], [...kinds, sum]));
    if (args.flag('items')) {
      const rows = usage.items.map(({ kind, name, allocatedBytes, why, isRemovable }) => [
        kind,
        escapeControls(name),
        formatSize(allocatedBytes),
        isRemovable ? 'yes' : 'no',
        escapeControls(why),
      ]);
      context.stdout.write(`\n${table(['KIND', 'NAME', 'ON DISK', 'PRUNABLE', 'WHY'], rows)}`);
    }
    return 0;
  },
};

export const cachePrune: Command = {
  name: 'cache prune',
  summary: 'Remove what can be fetched or made again',
  usage: '[OPTIONS]',
  options: {
    'older-than': {
      type: 'string',
      value: 'DURATION',
      help: 'Only what was not written, or not used, for this long',
    },
    'max-size': {
      type: 'string',
      value: 'SIZE',
      help: 'Keep the newest blobs and boot snapshots, up to this size each',
    },
    'dry-run': { type: 'boolean', help: 'Only say what would be removed' },
    ...JSON_OPTION,
  },
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const olderThan = args.text('older-than');
    const maxSize = args.text('max-size');
    const store = await environments(context);
    const result = await withInterrupt((signal) =>
      store.pruneCache({
        dryRun: args.flag('dry-run'),
        ...(olderThan === undefined ? {} : { olderThanMs: parseDuration(olderThan) }),
        ...(maxSize === undefined ? {} : { maxBytes: parseSize(maxSize) }),
        signal,
      }),
    );
    if (args.flag('json')) printJson(context, { ...result });
    else {
      const { dryRun, freedBytes, blobsRemoved, stagingRemoved, initrdsRemoved, snapshotsRemoved } = result;
      context.stdout.write(
        `${blobsRemoved} blobs, ${snapshotsRemoved} boot snapshots, ${stagingRemoved} unfinished, ${initrdsRemoved} initrds; ${dryRun ? 'would free' : 'freed'} ${formatSize(freedBytes)}\n`,
      );
    }
    return 0;
  },
};
