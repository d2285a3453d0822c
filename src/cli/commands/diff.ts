/** `hearth diff`: what a sandbox has changed of the file system that it began with. */
import { HearthError } from '../../errors/index.js';
import type { Command } from '../command.js';
import { countOption } from '../file-options.js';
import { oneLine } from '../file-table.js';
import { withInterrupt } from '../interrupt.js';
import { escapedForTerminal, saveStream, sendTo } from '../save-stream.js';
import { openService } from '../service.js';
import { printJson } from '../shared-options.js';

const LETTERS = { added: 'A', modified: 'M', deleted: 'D' } as const;
const DEFAULT_SHOWN = 10_000;

export const diff: Command = {
  name: 'diff',
  summary: 'Show which files a sandbox has added (A), modified (M) and deleted (D), running or not',
  usage: '[OPTIONS] SANDBOX',
  options: {
    patch: { type: 'boolean', short: 'p', help: 'As a patch, as `git diff --binary` writes it' },
    tar: { type: 'string', value: 'FILE', help: 'As an image layer, with whiteouts; - for stdout' },
    'max-entries': { type: 'string', value: 'N', help: 'Show at most so many (10000)' },
    json: { type: 'boolean', help: 'Print one JSON document, with hashes of contents' },
  },
  positionals: { least: 1, most: 1 },
  examples: ['hearth diff dev', 'hearth diff --patch dev | less', 'hearth diff --tar changes.tar dev'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const tar = args.text('tar');
    const json = args.flag('json');
    if ([tar !== undefined, args.flag('patch'), json].filter(Boolean).length > 1) {
      throw new HearthError('USAGE_INVALID', 'hearth diff: --patch, --tar and --json exclude each other', {
        hint: 'Give one of them.',
      });
    }
    const maxChanges = countOption(args.text('max-entries')) ?? DEFAULT_SHOWN;
    return await withInterrupt(async (signal) => {
      const service = await openService(context);
      if (tar !== undefined) {
        const { content } = await service.download('disk.diffTar', { sandbox }, { signal });
        await saveStream(content, tar, context);
        return 0;
      }
      if (args.flag('patch')) {
        const { content } = await service.download('disk.diffPatch', { sandbox }, { signal });
        await sendTo(context.stdout.isTTY === true ? escapedForTerminal(content) : content, context.stdout);
        return 0;
      }
      const { changes, truncated } = await service.call(
        'disk.diff',
        { sandbox, hashes: json, maxChanges },
        { signal },
      );
      if (json) printJson(context, { changes, truncated });
      else {
        const lines = changes.map(({ change, path }) => `${LETTERS[change]} ${oneLine(path)}\n`);
        context.stdout.write(lines.join(''));
        if (truncated)
          context.stderr.write(`only the first ${changes.length} are shown; --max-entries shows more\n`);
      }
      return 0;
    });
  },
};
