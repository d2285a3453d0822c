/** `hearth workspace …` and `hearth patch apply`: what a sandbox was given to work on, and what became of it. */
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { formatSize } from '../../bytes/index.js';
import type { OperationOutput } from '../../contract/index.js';
import { fileError } from '../../errors/index.js';
import type { Command, CommandContext } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { given } from '../sandbox-options.js';
import { tellLeftOut } from '../seed-options.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls } from '../terminal.js';

type Diff = OperationOutput<'workspace.diff'>;

export const workspaceDiff: Command = {
  name: 'workspace diff',
  summary: 'Show what changed in the workspace since it was seeded, as a patch for `git apply`',
  usage: '[OPTIONS] SANDBOX [PATH...]',
  options: {
    output: { type: 'string', short: 'o', value: 'FILE', help: 'Write the patch to a file' },
    stat: { type: 'boolean', help: 'Show files and numbers of lines instead of the patch' },
    binary: { type: 'boolean', help: 'Put the bytes of binary files into the patch' },
    thorough: { type: 'boolean', help: 'Compare also files whose size and time are unchanged' },
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 1001 },
  examples: [
    'hearth workspace diff dev | git apply',
    'hearth workspace diff --stat dev src',
    'hearth workspace diff --binary -o fix.patch dev',
  ],
  async run(args, context) {
    const [sandbox = '', ...paths] = args.positionals;
    const diff = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const wishes = { binary: args.flag('binary'), thorough: args.flag('thorough') };
      return await service.call('workspace.diff', { sandbox, paths, ...wishes }, { signal });
    });
    const output = args.text('output');
    if (output !== undefined) await write(output, diff.patch);
    if (args.flag('json')) printJson(context, { ...diff });
    else if (args.flag('stat')) context.stdout.write(statText(diff));
    else if (output === undefined) context.stdout.write(diff.patch);
    if (!args.flag('json') && diff.leftOutCount > 0) warnLeftOut(diff, context);
    return 0;
  },
};

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw fileError(error, path);
  }
}

const LETTERS = { added: 'A', modified: 'M', deleted: 'D', special: '?' } as const;

/** One line a file: what happened, how many lines came and went, its path. */
function statText({ files }: Diff): string {
  const counts = files.map(({ binary, change, addedLines, removedLines }) =>
    binary || change === 'special' ? 'bin' : `+${addedLines} -${removedLines}`,
  );
  const width = Math.max(0, ...counts.map(({ length }) => length));
  return files
    .map(
      ({ change, path }, index) =>
        `${LETTERS[change]}  ${(counts[index] ?? '').padEnd(width)}  ${escapeControls(path)}\n`,
    )
    .join('');
}

function warnLeftOut({ files, leftOutCount }: Diff, { stderr }: CommandContext): void {
  const binary = files.some((file) => file.binary && !file.inPatch);
  const how = binary ? '; --binary takes binary files in' : '';
  stderr.write(`warning: not in the patch: ${leftOutCount} of ${files.length} changed files${how}\n`);
}

export const workspacePush: Command = {
  name: 'workspace push',
  summary: 'Put a directory or archive into the workspace; the diff is still against the seed',
  usage: '[OPTIONS] SANDBOX DIR|ARCHIVE',
  options: {
    to: { type: 'string', value: 'PATH', help: 'Directory in the workspace (default: its top)' },
    all: { type: 'boolean', help: 'Also files that Git does not track' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth workspace push dev .', 'hearth workspace push --to vendor/lib dev lib.tar.gz'],
  async run(args, context) {
    const [sandbox = '', source = ''] = args.positionals;
    const pushed = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const wishes = { all: args.flag('all'), ...given({ to: args.text('to') }) };
      return await service.call(
        'workspace.push',
        { sandbox, source: resolve(source), ...wishes },
        { signal },
      );
    });
    if (args.flag('json')) printJson(context, { ...pushed });
    else context.stdout.write(`${pushed.entryCount} entries, ${formatSize(pushed.sizeBytes)}\n`);
    if (!args.flag('json')) tellLeftOut(pushed.leftOut, '--all', context);
    return 0;
  },
};

export const workspaceReset: Command = {
  name: 'workspace reset',
  summary: 'Make the workspace what it was when it was seeded; the rest of the sandbox stays',
  usage: '[--json] SANDBOX',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const { workspace } = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      return await service.call('workspace.reset', { sandbox }, { signal });
    });
    if (args.flag('json')) printJson(context, { workspace });
    else context.stdout.write(`${sandbox}\n`);
    return 0;
  },
};

export const patchApply: Command = {
  name: 'patch apply',
  summary: 'Apply a unified patch to the workspace, all of it or nothing',
  usage: '[OPTIONS] SANDBOX FILE|-',
  options: {
    check: { type: 'boolean', help: 'Only say whether it would do' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['git diff | hearth patch apply dev -', 'hearth patch apply --check dev fix.patch'],
  async run(args, context) {
    const [sandbox = '', path = ''] = args.positionals;
    const patch = await readPatch(path, context);
    const { files, applied } = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      return await service.call('patch.apply', { sandbox, patch, check: args.flag('check') }, { signal });
    });
    if (args.flag('json')) printJson(context, { files, applied });
    else {
      context.stdout.write(
        files.map(({ change, path: shown }) => `${LETTERS[change]}  ${escapeControls(shown)}\n`).join(''),
      );
    }
    return 0;
  },
};

async function readPatch(path: string, { stdin }: CommandContext): Promise<string> {
  try {
    return (path === '-' ? await buffer(stdin) : await readFile(path)).toString('utf8');
  } catch (error) {
    throw fileError(error, path);
  }
}
