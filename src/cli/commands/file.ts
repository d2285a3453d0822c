/** `hearth file …`: single files of a running sandbox. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseSize } from '../../bytes/index.js';
import { CaptureStream } from '../capture.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { countOption, parseMode, parseOwner } from '../file-options.js';
import { fileLines } from '../file-table.js';
import { withInterrupt } from '../interrupt.js';
import { escapedForTerminal, sendTo } from '../save-stream.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';

const DEFAULT_JSON_BYTES = 1024 * 1024;
const LIST_HINT_ENTRIES = 10_000;

export const fileList: Command = {
  name: 'file list',
  summary: 'List the files in a directory of a running sandbox',
  usage: '[OPTIONS] SANDBOX [PATH]',
  options: {
    recursive: { type: 'boolean', short: 'r', help: 'Also what is in its directories' },
    'max-entries': { type: 'string', value: 'N', help: 'Show at most so many (10000)' },
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 2 },
  examples: ['hearth file list dev /etc', 'hearth file list --recursive --json dev /workspace'],
  async run(args, context) {
    const [sandbox = '', path = '/'] = args.positionals;
    const maxEntries = countOption(args.text('max-entries')) ?? LIST_HINT_ENTRIES;
    const service = await openService(context);
    const { entries, truncated } = await service.call('file.list', {
      sandbox,
      path,
      recursive: args.flag('recursive'),
      maxEntries,
    });
    if (args.flag('json')) printJson(context, { path, entries, truncated });
    else {
      context.stdout.write(fileLines(entries));
      if (truncated)
        context.stderr.write(`only the first ${entries.length} are shown; --max-entries shows more\n`);
    }
    return 0;
  },
};

export const fileRead: Command = {
  name: 'file read',
  summary: 'Print a file of a running sandbox',
  usage: '[OPTIONS] SANDBOX PATH',
  options: {
    'max-bytes': { type: 'string', value: 'SIZE', help: 'Print at most so much of it; with --json 1M' },
    offset: { type: 'string', value: 'SIZE', help: 'Begin so far into it' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth file read dev /etc/hosts', 'hearth file read --max-bytes 4K --json dev /var/log/syslog'],
  async run(args, context) {
    const [sandbox = '', path = ''] = args.positionals;
    const wanted = args.text('max-bytes');
    const offset = args.text('offset');
    const maxBytes = wanted === undefined ? undefined : parseSize(wanted);
    const offsetBytes = offset === undefined ? 0 : parseSize(offset);
    return await withInterrupt(async (signal) => {
      const service = await openService(context);
      const json = args.flag('json');
      const limitBytes = maxBytes ?? (json ? DEFAULT_JSON_BYTES : undefined);
      // One byte more tells whether there is more.
      const lengthBytes = limitBytes === undefined ? undefined : limitBytes + (json ? 1 : 0);
      const { head, content } = await service.download(
        'file.read',
        { sandbox, path, offsetBytes, ...(lengthBytes === undefined ? {} : { lengthBytes }) },
        { signal },
      );
      if (json) await printContent(context, { path, file: head.file, limitBytes: limitBytes ?? 0 }, content);
      else await print(context, content);
      return 0;
    });
  },
};

async function printContent(
  context: CommandContext,
  { path, file, limitBytes }: { readonly path: string; readonly file: object; readonly limitBytes: number },
  content: Readable,
): Promise<void> {
  const kept = new CaptureStream(limitBytes);
  await pipeline(content, kept);
  const { text, encoding } = kept.encoded();
  printJson(context, { path, file, content: text, encoding, truncated: kept.truncated });
}

/** As it is; for a terminal without what could take it over. */
async function print({ stdout }: CommandContext, content: Readable): Promise<void> {
  await sendTo(stdout.isTTY === true ? escapedForTerminal(content) : content, stdout);
}

export const fileWrite: Command = {
  name: 'file write',
  summary: 'Put a file into a running sandbox, from stdin or --content',
  usage: '[OPTIONS] SANDBOX PATH',
  options: {
    content: { type: 'string', value: 'TEXT', help: 'What to write, instead of stdin' },
    mode: { type: 'string', value: 'MODE', help: 'Permission bits, for example 755 (644, or as it was)' },
    owner: { type: 'string', value: 'UID[:GID]', help: 'Numbers (root, or as it was)' },
    parents: { type: 'boolean', short: 'p', help: 'Create missing directories' },
    exclusive: { type: 'boolean', help: 'Fail when the file is there' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth file write dev /etc/motd < motd', "hearth file write --content 'hello' dev /root/note"],
  async run(args, context) {
    const [sandbox = '', path = ''] = args.positionals;
    const input = { sandbox, path, ...writeOptions(args) };
    const text = args.text('content');
    return await withInterrupt(async (signal) => {
      const service = await openService(context);
      const content = text === undefined ? context.stdin : [Buffer.from(text)];
      const { file } = await service.upload('file.write', input, pieces(content), { signal });
      if (args.flag('json')) printJson(context, { path, file });
      return 0;
    });
  },
};

function writeOptions(args: ParsedArguments) {
  const mode = args.text('mode');
  const owner = args.text('owner');
  return {
    parents: args.flag('parents'),
    exclusive: args.flag('exclusive'),
    ...(mode === undefined ? {} : { mode: parseMode(mode) }),
    ...(owner === undefined ? {} : parseOwner(owner)),
  };
}

async function* pieces(source: AsyncIterable<unknown> | Iterable<Buffer>): AsyncGenerator<Uint8Array> {
  for await (const piece of source) yield typeof piece === 'string' ? Buffer.from(piece) : (piece as Buffer);
}
