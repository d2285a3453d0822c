/** Options and printing that several commands share. */
import type { CommandContext, OptionSpec, ParsedArguments } from './command.js';
import { createProgress, type Progress, type ProgressMode, progressMode } from './progress.js';

export const JSON_OPTION = {
  json: { type: 'boolean', help: 'Print one JSON document' },
} as const satisfies Record<string, OptionSpec>;

export const COLD_OPTION = {
  cold: { type: 'boolean', help: 'Boot, rather than resume a VM that has booted before' },
} as const satisfies Record<string, OptionSpec>;

export const PROGRESS_OPTIONS = {
  progress: {
    type: 'string',
    value: 'MODE',
    help: 'auto (live on a terminal), live, plain or none',
  },
  quiet: { type: 'boolean', short: 'q', help: 'Show no progress' },
} as const satisfies Record<string, OptionSpec>;

/** The progress printer that the options ask for; `fallback` is what `auto` means where no person looks. */
export function progressFor(
  args: ParsedArguments,
  { stderr, env }: CommandContext,
  fallback: ProgressMode,
): Progress {
  const requested = args.flag('quiet') ? 'none' : args.text('progress');
  return createProgress(progressMode(requested, stderr, env, fallback), stderr, env);
}

/** One JSON document on stdout. */
export function printJson({ stdout }: CommandContext, document: Readonly<Record<string, unknown>>): void {
  stdout.write(`${JSON.stringify({ schemaVersion: 1, ...document }, null, 2)}\n`);
}
