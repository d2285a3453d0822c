/** What a half-typed command line could go on with, from the commands' own descriptions. */
import { COMMON_OPTIONS, type Command, type CommandContext, type OptionSpec } from '../command.js';
import { findCommand } from '../find-command.js';
import { liveNames, type NameKind } from './live-names.js';

export interface Candidate {
  readonly word: string;
  /** One line; empty for a name. */
  readonly description: string;
}

const VALUES: Readonly<Record<string, readonly string[]>> = {
  accel: ['auto', 'kvm', 'tcg'],
  net: ['none', 'public'],
  progress: ['auto', 'plain', 'none'],
};
const SHELLS = ['bash', 'zsh', 'fish'];

/**
 * @param words All after `hearth`; the last is the one being typed, possibly empty.
 * @returns Those that begin with it. None: what is asked for is a file, or nothing that we know.
 */
export async function candidates(words: readonly string[], context: CommandContext): Promise<Candidate[]> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const all = await possible(before, current, context);
  return all.filter(({ word }) => word.startsWith(current));
}

async function possible(
  before: readonly string[],
  current: string,
  context: CommandContext,
): Promise<Candidate[]> {
  if (before.length === 0) return firstWords(context);
  const found = findCommand(before, context.groups);
  if (found === undefined) return before.length === 1 ? secondWords(before[0] ?? '', context) : [];
  const command = await found.entry.load();
  const typed = before.slice(found.wordCount);
  const options = { ...command.options, ...COMMON_OPTIONS };
  const { positionals, openOption } = read(typed, options);
  if (openOption !== undefined) return (VALUES[openOption] ?? []).map(name);
  // Behind the last word of our own comes the guest's command.
  if (command.passesRest === true && positionals >= command.positionals.most) return [];
  if (current.startsWith('-')) return optionWords(options);
  if (positionals >= command.positionals.most) return [];
  return await argumentWords(command, positionals, context);
}

const name = (word: string): Candidate => ({ word, description: '' });

function firstWords({ groups }: CommandContext): Candidate[] {
  const found = new Map<string, string>();
  for (const { title, commands } of groups) {
    for (const entry of commands) {
      const [first = ''] = entry.name.split(' ');
      if (!found.has(first)) found.set(first, first === entry.name ? entry.summary : title);
    }
  }
  return [...found].map(([word, description]) => ({ word, description }));
}

function secondWords(first: string, { groups }: CommandContext): Candidate[] {
  return groups
    .flatMap(({ commands }) => commands)
    .flatMap((entry) => {
      const [one, two] = entry.name.split(' ');
      return one === first && two !== undefined ? [{ word: two, description: entry.summary }] : [];
    });
}

/** How many positional words there are, and the option that still waits for its value. */
function read(
  typed: readonly string[],
  options: Readonly<Record<string, OptionSpec>>,
): { positionals: number; openOption: string | undefined } {
  let positionals = 0;
  let openOption: string | undefined;
  let isOver = false;
  for (const word of typed) {
    if (openOption !== undefined) openOption = undefined;
    else if (!isOver && word === '--') isOver = true;
    else if (!isOver && word.startsWith('-') && word !== '-') openOption = takesNext(word, options);
    else positionals += 1;
  }
  return { positionals, openOption };
}

function takesNext(word: string, options: Readonly<Record<string, OptionSpec>>): string | undefined {
  const entry = Object.entries(options).find(([long, { short }]) =>
    word.startsWith('--') ? word === `--${long}` : short !== undefined && word.endsWith(short),
  );
  return entry?.[1].type === 'string' ? entry[0] : undefined;
}

function optionWords(options: Readonly<Record<string, OptionSpec>>): Candidate[] {
  return Object.entries(options).map(([long, { help }]) => ({ word: `--${long}`, description: help }));
}

/** The usage names what stands where: `[OPTIONS] SANDBOX [SANDBOX...]`. */
async function argumentWords(command: Command, index: number, context: CommandContext): Promise<Candidate[]> {
  if (command.name === 'completion') return SHELLS.map(name);
  const kind = kindOf(command, index);
  return kind === undefined ? [] : (await liveNames(kind, context)).map(name);
}

function kindOf({ usage, name: commandName }: Command, index: number): NameKind | undefined {
  const places = (usage.split(' | ')[0] ?? '')
    .replace(/\[--?\S+(?: [A-Z]+)?\]|--?\S+ [A-Z]+|\[OPTIONS\]|\[--\]/g, ' ')
    .split(' ')
    .filter((place) => place !== '');
  const last = places.at(-1) ?? '';
  const place = places[index] ?? (last.includes('...') ? last : '');
  if (place.includes('SANDBOX')) return 'sandbox';
  if (/ENVIRONMENT|IMAGE/.test(place)) return 'environment';
  const isKernel = place.includes('NAME') && /^kernel (?:inspect|rm)$/.test(commandName);
  return isKernel ? 'kernel' : undefined;
}
