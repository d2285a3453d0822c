/** `hearth summary`: what happened in a sandbox, as a text for a review. */
import type { Command } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls } from '../terminal.js';

export const summary: Command = {
  name: 'summary',
  summary: 'Tell in Markdown what happened in a sandbox since its last reset: commands, edits, changes',
  usage: '[--json] SANDBOX',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  examples: ['hearth summary dev > review.md'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const told = await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      return await service.call('sandbox.summary', { sandbox }, { signal });
    });
    if (args.flag('json')) printJson(context, { ...told });
    else context.stdout.write(escapeControls(told.text));
    return 0;
  },
};
