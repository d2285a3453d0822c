/** Options that give a sandbox a workspace. */
import { resolve } from 'node:path';
import { HearthError } from '../errors/index.js';
import type { CommandContext, OptionSpec, ParsedArguments } from './command.js';

export const SEED_OPTIONS = {
  'seed-path': {
    type: 'string',
    value: 'DIR|ARCHIVE',
    help: 'Fill /workspace with it; of a Git repository, the files that Git tracks',
  },
  'seed-all': { type: 'boolean', help: 'With --seed-path, also files that Git does not track' },
  workspace: { type: 'boolean', help: 'Make an empty /workspace whose changes can be shown' },
} as const satisfies Record<string, OptionSpec>;

/** undefined: no workspace is asked for. @throws {HearthError} `USAGE_INVALID`. */
export function readSeed(args: ParsedArguments): { seedPath?: string; all?: boolean } | undefined {
  const seedPath = args.text('seed-path');
  const all = args.flag('seed-all');
  if (seedPath !== undefined) return { seedPath: resolve(seedPath), all };
  if (!all) return args.flag('workspace') ? {} : undefined;
  throw new HearthError('USAGE_INVALID', '--seed-all without --seed-path', {
    hint: 'Name the directory, too: --seed-path DIR --seed-all',
  });
}

/** What a seed has not, so that nobody looks for it in the guest. */
export function tellLeftOut(
  { untracked }: { readonly untracked: number },
  option: string,
  { stderr }: CommandContext,
): void {
  if (untracked === 0) return;
  const files = untracked === 1 ? '1 file' : `${untracked} files`;
  stderr.write(`note: left out ${files} that Git does not track; ${option} takes in everything\n`);
}
