/** `hearth snapshot …`, `restore`, `fork`: sandboxes that go back, and their copies. */
import { formatDuration, formatSize } from '../../bytes/index.js';
import type { Command } from '../command.js';
import { usageError } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { given } from '../sandbox-options.js';
import { age } from '../sandbox-table.js';
import { openService, sandboxPhase } from '../service.js';
import { JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

const NAME_CHARS = 24;
const MOST_FORKS = 64;

export const snapshotCreate: Command = {
  name: 'snapshot create',
  summary: 'Save a sandbox under a name: all of it when it runs, which goes on; else its disk',
  usage: '[OPTIONS] SANDBOX NAME',
  options: { ...JSON_OPTION, ...PROGRESS_OPTIONS },
  positionals: { least: 2, most: 2 },
  examples: ['hearth snapshot create dev before-upgrade'],
  async run(args, context) {
    const [sandbox = '', name = ''] = args.positionals;
    const progress = progressFor(args, context, 'none');
    const { snapshot } = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const onProgress = sandboxPhase(progress, 'snapshot');
      return await service.call('snapshot.create', { sandbox, name }, { signal, onProgress });
    }).finally(() => progress.finish());
    if (args.flag('json')) printJson(context, { snapshot });
    else {
      context.stdout.write(`${snapshot.name}\n`);
      if (snapshot.kind === 'vm')
        progress.note(`${snapshot.sandbox} stood still for ${formatDuration(snapshot.pauseMs)}`);
    }
    return 0;
  },
};

export const snapshotList: Command = {
  name: 'snapshot list',
  summary: 'List snapshots, of one sandbox or of all',
  usage: '[--json] [SANDBOX]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 1 },
  async run(args, context) {
    const [sandbox] = args.positionals;
    const service = await openService(context);
    const { snapshots } = await service.call('snapshot.list', sandbox === undefined ? {} : { sandbox });
    if (args.flag('json')) {
      printJson(context, { snapshots });
      return 0;
    }
    const now = Date.now();
    const rows = snapshots.map(({ sandbox: owner, name, kind, allocatedBytes, createdAt }) => [
      cut(owner),
      cut(name),
      kind,
      formatSize(allocatedBytes),
      age(now - Date.parse(createdAt)),
    ]);
    context.stdout.write(table(['SANDBOX', 'NAME', 'KIND', 'SIZE', 'AGE'], rows));
    return 0;
  },
};

export const snapshotRm: Command = {
  name: 'snapshot rm',
  summary: 'Remove snapshots of a sandbox',
  usage: 'SANDBOX NAME [NAME...]',
  options: {},
  positionals: { least: 2, most: 1000 },
  async run(args, context) {
    const [sandbox = '', ...names] = args.positionals;
    const service = await openService(context);
    for (const name of names) {
      await service.call('snapshot.remove', { sandbox, name });
      context.stdout.write(`${name}\n`);
    }
    return 0;
  },
};

export const restore: Command = {
  name: 'restore',
  summary: 'Take a sandbox back to one of its snapshots; what it has done since is gone',
  usage: '[OPTIONS] SANDBOX NAME',
  options: {
    'disk-only': { type: 'boolean', help: 'Leave the memory aside; the sandbox is stopped then' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth restore dev before-upgrade'],
  async run(args, context) {
    const [sandbox = '', name = ''] = args.positionals;
    const progress = progressFor(args, context, 'none');
    const answer = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const input = { sandbox, name, diskOnly: args.flag('disk-only') };
      return await service.call('sandbox.restore', input, {
        signal,
        onProgress: sandboxPhase(progress, 'restore'),
      });
    }).finally(() => progress.finish());
    if (args.flag('json')) printJson(context, { sandbox: answer.sandbox });
    else context.stdout.write(`${answer.sandbox.name}\n`);
    return 0;
  },
};

export const fork: Command = {
  name: 'fork',
  summary: 'Make copies of a sandbox that go on from where it is; it goes on itself',
  usage: '[OPTIONS] SANDBOX',
  options: {
    number: { type: 'string', short: 'n', value: 'N', help: 'How many copies (default 1)' },
    name: { type: 'string', value: 'NAME', help: 'Name of the copy; of several, its beginning' },
    snapshot: { type: 'string', value: 'NAME', help: 'Go on from this snapshot instead of from now' },
    'keep-commands': { type: 'boolean', help: 'Let the commands of the source go on in the copies, too' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 1, most: 1 },
  examples: ['hearth fork -n 3 --name try dev', 'hearth fork --snapshot before-upgrade dev'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const count = Number(args.text('number') ?? '1');
    if (!Number.isInteger(count) || count < 1 || count > MOST_FORKS) {
      throw usageError(fork, `-n takes a whole number from 1 to ${MOST_FORKS}`);
    }
    const progress = progressFor(args, context, 'none');
    const { sandboxes, pauseMs } = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const input = {
        sandbox,
        count,
        keepCommands: args.flag('keep-commands'),
        ...given({ name: args.text('name'), snapshot: args.text('snapshot') }),
      };
      return await service.call('sandbox.fork', input, {
        signal,
        onProgress: sandboxPhase(progress, 'fork'),
      });
    }).finally(() => progress.finish());
    if (args.flag('json')) printJson(context, { sandboxes, pauseMs });
    else {
      context.stdout.write(sandboxes.map(({ name }) => `${name}\n`).join(''));
      if (pauseMs > 0) progress.note(`${sandbox} stood still for ${formatDuration(pauseMs)}`);
    }
    return 0;
  },
};

function cut(text: string): string {
  const safe = escapeControls(text);
  return safe.length <= NAME_CHARS ? safe : `${safe.slice(0, NAME_CHARS - 1)}…`;
}
