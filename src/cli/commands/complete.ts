/** `hearth __complete -- WORD...`: what the scripts of `hearth completion` ask. */
import type { Command } from '../command.js';
import { candidates } from '../completion/candidates.js';

const MAX_WORDS = 1000;

export const complete: Command = {
  name: '__complete',
  summary: 'Print what the words on a command line could go on with',
  usage: '-- WORD...',
  options: {},
  positionals: { least: 0, most: MAX_WORDS },
  async run(args, context) {
    const lines = (await candidates(args.positionals, context)).map(
      ({ word, description }) => `${word}\t${description}\n`,
    );
    context.stdout.write(lines.join(''));
    return 0;
  },
};
