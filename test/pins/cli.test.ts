/** The command line is an interface: its commands and their options change only on purpose. */
import { expect, it } from 'vitest';
import { COMMON_OPTIONS } from '../../src/cli/command.js';
import { COMMAND_GROUPS } from '../../src/cli/commands.js';

/** `name: --option -o …`, sorted. */
async function surface(): Promise<string[]> {
  const entries = COMMAND_GROUPS.flatMap(({ commands }) => commands);
  const lines = await Promise.all(
    entries.map(async ({ name, load }) => {
      const { options } = await load();
      const words = Object.entries(options).flatMap(([option, { short }]) =>
        short === undefined ? [`--${option}`] : [`--${option}`, `-${short}`],
      );
      return `${name}: ${words.join(' ')}`.trimEnd();
    }),
  );
  return lines.sort();
}

it('every command takes these options and no others', async () => {
  expect(Object.keys(COMMON_OPTIONS)).toEqual(['help', 'verbose']);
  await expect(`${(await surface()).join('\n')}\n`).toMatchFileSnapshot('cli.golden.txt');
});
