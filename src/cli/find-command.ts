import type { CommandEntry, CommandGroup } from './command.js';

/**
 * Finds the command that the words begin with, the longest name first (`env pull` before `env`).
 *
 * @returns The command's entry and how many words its name took; undefined when there is none.
 */
export function findCommand(
  words: readonly string[],
  groups: readonly CommandGroup[],
): { readonly entry: CommandEntry; readonly wordCount: number } | undefined {
  const entries = groups.flatMap(({ commands }) => commands);
  for (const wordCount of [2, 1]) {
    const name = words.slice(0, wordCount).join(' ');
    const entry =
      words.length >= wordCount ? entries.find((candidate) => candidate.name === name) : undefined;
    if (entry !== undefined) return { entry, wordCount };
  }
  return undefined;
}
