/** `hearth disk list`, `read` and `export`, and `hearth export`: disks of sandboxes, which need not run. */
import { pipeline } from 'node:stream/promises';
import { parseSize } from '../../bytes/index.js';
import { CaptureStream } from '../capture.js';
import type { Command } from '../command.js';
import { countOption } from '../file-options.js';
import { fileLines } from '../file-table.js';
import { withInterrupt } from '../interrupt.js';
import { escapedForTerminal, saveStream, sendTo } from '../save-stream.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';

const DEFAULT_JSON_BYTES = 1024 * 1024;
const DEFAULT_LISTED = 10_000;
const OUTPUT_OPTION = {
  output: { type: 'string', short: 'o', value: 'FILE', help: 'Where to put it; - or none: stdout' },
} as const;

export const diskList: Command = {
  name: 'disk list',
  summary: 'List the files on the disk of a sandbox, which need not run',
  usage: '[OPTIONS] SANDBOX [PATH]',
  options: {
    recursive: { type: 'boolean', short: 'r', help: 'Also what is in its directories' },
    'max-entries': { type: 'string', value: 'N', help: 'Show at most so many (10000)' },
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 2 },
  examples: ['hearth disk list dev /etc', 'hearth disk list --recursive --json dev /workspace'],
  async run(args, context) {
    const [sandbox = '', path = '/'] = args.positionals;
    const maxEntries = countOption(args.text('max-entries')) ?? DEFAULT_LISTED;
    const service = await openService(context);
    const recursive = args.flag('recursive');
    const { entries, truncated } = await service.call('disk.list', { sandbox, path, recursive, maxEntries });
    if (args.flag('json')) printJson(context, { path, entries, truncated });
    else {
      context.stdout.write(fileLines(entries));
      if (truncated)
        context.stderr.write(`only the first ${entries.length} are shown; --max-entries shows more\n`);
    }
    return 0;
  },
};

export const diskRead: Command = {
  name: 'disk read',
  summary: 'Print a file on the disk of a sandbox, which need not run',
  usage: '[OPTIONS] SANDBOX PATH',
  options: {
    'max-bytes': { type: 'string', value: 'SIZE', help: 'Print at most so much of it; with --json 1M' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth disk read dev /etc/os-release', 'hearth disk read --json dev /var/log/dpkg.log'],
  async run(args, context) {
    const [sandbox = '', path = ''] = args.positionals;
    const wanted = args.text('max-bytes');
    const json = args.flag('json');
    const limitBytes = wanted === undefined ? undefined : parseSize(wanted);
    return await withInterrupt(async (signal) => {
      const service = await openService(context);
      const { head, content } = await service.download('disk.read', { sandbox, path }, { signal });
      if (json) {
        const kept = new CaptureStream(limitBytes ?? DEFAULT_JSON_BYTES);
        await pipeline(content, kept);
        const { text, encoding } = kept.encoded();
        printJson(context, { path, file: head.file, content: text, encoding, truncated: kept.truncated });
      } else {
        const shown = limitBytes === undefined ? content : firstBytes(content, limitBytes);
        await sendTo(context.stdout.isTTY === true ? escapedForTerminal(shown) : shown, context.stdout);
      }
      return 0;
    });
  },
};

export const diskExport: Command = {
  name: 'disk export',
  summary: 'Save the disk of a sandbox as a raw ext4 image',
  usage: '[-o FILE] SANDBOX',
  options: OUTPUT_OPTION,
  positionals: { least: 1, most: 1 },
  examples: ['hearth disk export -o dev.ext4 dev', 'hearth disk export dev | zstd > dev.ext4.zst'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    return await withInterrupt(async (signal) => {
      const service = await openService(context);
      const { content } = await service.download('disk.export', { sandbox }, { signal });
      await saveStream(content, args.text('output') ?? '-', context, { sparse: true });
      return 0;
    });
  },
};

export const exportTar: Command = {
  name: 'export',
  summary: 'Save the file system of a sandbox, or a part of it, as a tar archive',
  usage: '[-o FILE] SANDBOX [PATH]',
  options: OUTPUT_OPTION,
  positionals: { least: 1, most: 2 },
  examples: ['hearth export -o dev.tar dev', 'hearth export dev /workspace | tar -x'],
  async run(args, context) {
    const [sandbox = '', path] = args.positionals;
    return await withInterrupt(async (signal) => {
      const service = await openService(context);
      const input = path === undefined ? { sandbox } : { sandbox, path };
      const { content } = await service.download('disk.tar', input, { signal });
      await saveStream(content, args.text('output') ?? '-', context);
      return 0;
    });
  },
};

async function* firstBytes(
  content: AsyncIterable<Uint8Array>,
  limitBytes: number,
): AsyncGenerator<Uint8Array> {
  let left = limitBytes;
  for await (const piece of content) {
    yield piece.subarray(0, left);
    left -= piece.byteLength;
    if (left <= 0) return;
  }
}
