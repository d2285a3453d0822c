/** `hearth env list`, `inspect`, `verify`, `lock`: what is installed, changing nothing. */
import { resolve } from 'node:path';
import { formatSize } from '../../bytes/index.js';
import { type EnvironmentSummary, encodeLockfile } from '../../environments/index.js';
import { HearthError } from '../../errors/index.js';
import { writeFileAtomic } from '../../fsx/index.js';
import type { Command } from '../command.js';
import { environments } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, styleFor, table } from '../terminal.js';

const DAMAGED_EXIT_CODE = 9;
const LOCKFILE_MODE = 0o644;

function row(summary: EnvironmentSummary): string[] {
  const { name, state, size, source, description, reference } = summary;
  const origin = source ?? '-';
  return [
    name,
    state === 'available' ? 'not installed' : state,
    size === null ? '-' : formatSize(size.allocatedBytes),
    escapeControls(origin.length > 28 ? `${origin.slice(0, 27)}…` : origin),
    escapeControls(description === '' ? (reference ?? '') : description),
  ];
}

export const envList: Command = {
  name: 'env list',
  summary: 'List the environments of the catalog and everything else that is installed',
  usage: '[--json]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const store = await environments(context);
    const list = await store.list();
    if (args.flag('json')) printJson(context, { catalogVersion: store.catalog.version, environments: list });
    else {
      context.stdout.write(`Catalog version: ${store.catalog.version}\n`);
      context.stdout.write(table(['NAME', 'STATE', 'ON DISK', 'FROM', 'DESCRIPTION'], list.map(row)));
    }
    return 0;
  },
};

export const envInspect: Command = {
  name: 'env inspect',
  summary: 'Show everything about an environment as JSON, and what is wrong with it',
  usage: 'ENVIRONMENT',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [name = ''] = args.positionals;
    printJson(context, { ...(await (await environments(context)).inspect(name)) });
    return 0;
  },
};

export const envVerify: Command = {
  name: 'env verify',
  summary: 'Hash the files of environments against their manifests',
  usage: '[--all] [ENVIRONMENT...]',
  options: { all: { type: 'boolean', help: 'Every installed environment' }, ...JSON_OPTION },
  positionals: { least: 0, most: 100 },
  async run(args, context) {
    const all = args.flag('all');
    if (all === args.positionals.length > 0) {
      throw new HearthError('USAGE_INVALID', 'hearth env verify takes names or --all', {
        hint: 'Type `hearth env verify --all`, or name the environments.',
      });
    }
    const store = await environments(context);
    const results = await withInterrupt((signal) => store.verify(args.positionals, { all, signal }));
    if (args.flag('json')) printJson(context, { environments: results });
    else {
      const style = styleFor(context.stdout, context.env);
      for (const { name, ok, problems } of results) {
        context.stdout.write(`${ok ? style.green('ok    ') : style.red('DAMAGED')} ${name}\n`);
        for (const problem of problems) context.stdout.write(`        ${escapeControls(problem)}\n`);
        if (!ok) context.stdout.write(`        ${style.dim('mend it:')} hearth env pull ${name}\n`);
      }
    }
    return results.every(({ ok }) => ok) ? 0 : DAMAGED_EXIT_CODE;
  },
};

export const envLock: Command = {
  name: 'env lock',
  summary: 'Write down exactly what is installed, for `hearth env pull --locked`',
  usage: '[-o FILE] [ENVIRONMENT...]',
  options: { output: { type: 'string', short: 'o', value: 'FILE', help: 'Write a file instead of stdout' } },
  positionals: { least: 0, most: 100 },
  async run(args, context) {
    const store = await environments(context);
    const lockfile = await store.lock(args.positionals.length === 0 ? undefined : args.positionals);
    const output = args.text('output');
    if (output === undefined) context.stdout.write(encodeLockfile(lockfile));
    else await writeFileAtomic(resolve(output), encodeLockfile(lockfile), LOCKFILE_MODE);
    return 0;
  },
};
