/** Options of commands on sandboxes, and how their words become values. */
import { readFile } from 'node:fs/promises';
import { parseDuration } from '../bytes/index.js';
import { fileError, HearthError } from '../errors/index.js';
import type { CommandContext, OptionSpec, ParsedArguments } from './command.js';

export const ENV_OPTIONS = {
  env: { type: 'string', short: 'e', multiple: true, value: 'NAME=VALUE', help: 'Set a variable' },
  'env-file': { type: 'string', multiple: true, value: 'FILE', help: 'Read variables from a file' },
  workdir: { type: 'string', short: 'w', value: 'DIR', help: 'Directory of the command in the guest' },
  user: { type: 'string', short: 'u', value: 'USER[:GROUP]', help: 'User of the command in the guest' },
} as const satisfies Record<string, OptionSpec>;

export const LIFETIME_OPTIONS = {
  ttl: { type: 'string', value: 'DURATION', help: 'Remove it this long after its creation' },
  'idle-timeout': { type: 'string', value: 'DURATION', help: 'Stop it after this long without a command' },
} as const satisfies Record<string, OptionSpec>;

/** Reads `--env` and `--env-file`; what is given directly wins. */
export async function readVariables(
  args: ParsedArguments,
  { env: hostEnv }: CommandContext,
): Promise<Record<string, string>> {
  const env = new Map<string, string>();
  const files = args.list('env-file');
  const words = args.list('env');
  if (files.length === 0 && words.length === 0) return {};
  // Loaded only here: it brings along all that can make a sandbox.
  const { parseEnvFile, parseEnvWords } = await import('../sandboxes/index.js');
  for (const path of files) {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw fileError(error, path);
    });
    for (const [name, value] of parseEnvFile(text, hostEnv)) env.set(name, value);
  }
  for (const [name, value] of parseEnvWords(words, hostEnv)) env.set(name, value);
  return Object.fromEntries(env);
}

/** `KEY=VALUE` words; a word without `=` has an empty value. @throws {HearthError} `USAGE_INVALID`. */
export function readLabels(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const equals = word.indexOf('=');
      const key = equals === -1 ? word : word.slice(0, equals);
      if (key === '') {
        throw new HearthError('USAGE_INVALID', `not a label: ${JSON.stringify(word.slice(0, 64))}`, {
          hint: 'Write --label KEY=VALUE.',
          details: { label: word.slice(0, 64) },
        });
      }
      return [key, equals === -1 ? '' : word.slice(equals + 1)] as const;
    }),
  );
}

/** A limit of time: ms, null for `none`, undefined when the option is not given. */
export function readLimit(args: ParsedArguments, option: string): number | null | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  if (text === 'none') return null;
  const ms = parseDuration(text);
  if (ms > 0) return ms;
  throw new HearthError('USAGE_INVALID', `--${option} 0 would end it at once`, {
    hint: `Give a duration such as 30m, or --${option} none.`,
    details: { option },
  });
}

/** The fields that have a value: what is not given is not sent. */
export function given<T extends Readonly<Record<string, unknown>>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
