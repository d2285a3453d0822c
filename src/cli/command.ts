/** What a command is: its words, options and body. Parsing and help are made from the same description. */
import { parseArgs } from 'node:util';
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';

export interface OptionSpec {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** May be given more than once; the values are then a list. */
  readonly multiple?: boolean;
  /** Placeholder of the value in the help: `SIZE`. */
  readonly value?: string;
  readonly help: string;
}

export interface ParsedArguments {
  readonly positionals: readonly string[];
  /** The words of the guest's command, of a command that has one. */
  readonly rest: readonly string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  list(name: string): readonly string[];
}

/** A command in the table of commands, not loaded yet. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export interface CommandGroup {
  readonly title: string;
  readonly commands: readonly CommandEntry[];
}

/** The process around a command; tests put their own here. */
export interface CommandContext {
  /** Every command there is. */
  readonly groups: readonly CommandGroup[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly paths: HearthPaths;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

export interface Command {
  /** All its words: `env pull`. */
  readonly name: string;
  readonly summary: string;
  /** What follows the name: `[OPTIONS] IMAGE [--] [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** How many positional words it takes. */
  readonly positionals: { readonly least: number; readonly most: number };
  /** The words after the last positional belong to the guest, options and all. */
  readonly passesRest?: boolean;
  /** The exit code of a failure of ours; by default the one of the error's kind. */
  readonly failureExitCode?: number;
  readonly examples?: readonly string[];
  /** @returns The exit code. */
  run(args: ParsedArguments, context: CommandContext): Promise<number>;
}

/** Options that every command takes. */
export const COMMON_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  help: { type: 'boolean', short: 'h', help: 'Show this help' },
  verbose: { type: 'boolean', help: 'Show the details and causes of an error' },
};

/**
 * Reads the words after a command's name.
 *
 * @throws {HearthError} `USAGE_INVALID`.
 */
export function parseArguments(command: Command, words: readonly string[]): ParsedArguments {
  const specs = { ...COMMON_OPTIONS, ...command.options };
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { type, short, multiple = false }]) => [
      name,
      { type, multiple, ...(short === undefined ? {} : { short }) },
    ]),
  );
  let own = [...words];
  let rest: string[] = [];
  if (command.passesRest === true) {
    const { tokens } = parseArgs({ args: own, options, strict: false, allowPositionals: true, tokens: true });
    const positionals = tokens.filter((token) => token.kind === 'positional');
    const last = positionals[command.positionals.most - 1];
    if (last !== undefined) {
      rest = own.slice(last.index + 1);
      if (rest[0] === '--') rest = rest.slice(1);
      own = own.slice(0, last.index + 1);
    }
  }
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: own, options, strict: true, allowPositionals: true });
  } catch (error) {
    throw usageError(command, error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error));
  }
  const { values, positionals } = parsed;
  const { least, most } = command.positionals;
  if (values.help !== true) {
    if (positionals.length < least) throw usageError(command, `expected ${command.usage}`);
    if (positionals.length > most) throw usageError(command, `unexpected argument '${positionals[most]}'`);
  }
  return {
    positionals,
    rest,
    flag: (name) => values[name] === true,
    text: (name) => {
      const value = values[name];
      return typeof value === 'string' ? value : undefined;
    },
    list: (name) => {
      const value = values[name];
      return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
    },
  };
}

/** A malformed command line; the hint names the help to read. */
export function usageError(command: Pick<Command, 'name'>, message: string): HearthError {
  return new HearthError('USAGE_INVALID', `hearth ${command.name}: ${message.replace(/[\r\n]+/g, ' ')}`, {
    hint: `Type \`hearth ${command.name} --help\` for its options.`,
    details: { command: command.name },
  });
}
