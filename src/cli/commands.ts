/** Every command by name, loaded only when it is typed: start-up is part of the speed that users feel. */
import type { Command } from './command.js';

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export const COMMAND_GROUPS: ReadonlyArray<{ readonly title: string; readonly commands: readonly Entry[] }> =
  [
    {
      title: 'Run',
      commands: [
        {
          name: 'run',
          summary: 'Run a command in a fresh microVM',
          load: async () => (await import('./commands/run.js')).run,
        },
      ],
    },
    {
      title: 'Host',
      commands: [
        {
          name: 'doctor',
          summary: 'Check whether this machine is ready',
          load: async () => (await import('./commands/doctor.js')).doctor,
        },
        {
          name: 'version',
          summary: 'Show the version of hearth',
          load: async () => (await import('./commands/version.js')).version,
        },
      ],
    },
  ];

/**
 * Finds the command that the words begin with, the longest name first (`env pull` before `env`).
 *
 * @returns The command's entry and how many words its name took; undefined when there is none.
 */
export function findCommand(
  words: readonly string[],
): { readonly entry: Entry; readonly wordCount: number } | undefined {
  const entries = COMMAND_GROUPS.flatMap(({ commands }) => commands);
  for (const wordCount of [2, 1]) {
    const name = words.slice(0, wordCount).join(' ');
    const entry =
      words.length >= wordCount ? entries.find((candidate) => candidate.name === name) : undefined;
    if (entry !== undefined) return { entry, wordCount };
  }
  return undefined;
}
