/** `hearth cp`: files and directories into a running sandbox and out of it, with the habits of `docker cp`. */
import { formatSize, parseSize } from '../../bytes/index.js';
import type { Service } from '../../contract/index.js';
import { archiveOut, type CopyOptions, copyIn, copyOut } from '../../sdk/index.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { usageError } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { saveStream } from '../save-stream.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, isInteractive } from '../terminal.js';

interface Place {
  readonly sandbox: string;
  readonly path: string;
}

interface Copied {
  readonly entryCount: number | null;
  readonly contentBytes: number;
  readonly skipped: readonly { readonly path: string; readonly kind: string }[];
  readonly skippedCount: number;
}

export const cp: Command = {
  name: 'cp',
  summary: 'Copy files and directories into a running sandbox, or out of it',
  usage: '[OPTIONS] SANDBOX:PATH|PATH|- SANDBOX:PATH|PATH|-',
  options: {
    archive: { type: 'boolean', short: 'a', help: 'Keep owners and set-id bits' },
    'follow-link': { type: 'boolean', short: 'L', help: 'Copy what SRC links to, not the link' },
    quiet: { type: 'boolean', short: 'q', help: 'Say nothing when it is done' },
    'max-bytes': { type: 'string', value: 'SIZE', help: 'Take at most so much out of the sandbox (64G)' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: [
    'hearth cp src/. dev:/workspace',
    'hearth cp dev:/var/log/syslog .',
    'tar -c . | hearth cp - dev:/workspace',
    'hearth cp dev:/etc - | tar -t',
  ],
  async run(args, context) {
    const [from = '', to = ''] = args.positionals;
    const source = placeOf(from);
    const target = placeOf(to);
    if ((source === undefined) === (target === undefined)) {
      throw usageError(
        cp,
        source === undefined ? 'neither SRC nor DEST is in a sandbox' : 'SRC and DEST are both in a sandbox',
      );
    }
    return await withInterrupt(async (signal) => {
      const service = await openService(context, { signal });
      const options = { archive: args.flag('archive'), followLink: args.flag('follow-link'), signal };
      if (source !== undefined && to === '-') {
        await saveStream(await archiveOut(service, source, options), '-', context);
        return 0;
      }
      const copied =
        source !== undefined
          ? await copyOut(service, { ...source, target: to }, { ...options, ...maxBytes(args) })
          : await copyTo(service, from, target ?? { sandbox: '', path: '' }, context, options);
      report(args, context, { from, to }, { skipped: [], skippedCount: 0, ...copied });
      return 0;
    });
  },
};

/** `SANDBOX:PATH`; anything that begins with a slash or a dot, or has a slash before the colon, is a path of the host. */
export function placeOf(text: string): Place | undefined {
  const [, sandbox, path] = /^([^/.:][^/:]*):(.*)$/s.exec(text) ?? [];
  return sandbox === undefined || path === undefined
    ? undefined
    : { sandbox, path: path === '' ? '/' : path };
}

function maxBytes(args: ParsedArguments): { readonly maxBytes?: number } {
  const text = args.text('max-bytes');
  return text === undefined ? {} : { maxBytes: parseSize(text) };
}

async function copyTo(
  service: Service,
  source: string,
  { sandbox, path }: Place,
  { stdin }: CommandContext,
  options: CopyOptions,
): Promise<{ readonly entryCount: number; readonly contentBytes: number }> {
  if (source !== '-') return await copyIn(service, { source, sandbox, path }, options);
  let contentBytes = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of stdin) {
      const piece = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer);
      contentBytes += piece.byteLength;
      yield piece;
    }
  };
  const input = { sandbox, path, keepOwners: options.archive === true };
  const { signal } = options;
  const { entryCount } = await service.upload(
    'tree.write',
    input,
    counted(),
    signal === undefined ? {} : { signal },
  );
  return { entryCount, contentBytes };
}

function report(
  args: ParsedArguments,
  context: CommandContext,
  { from, to }: { readonly from: string; readonly to: string },
  copied: Copied,
): void {
  const { stderr, env } = context;
  const { entryCount, contentBytes, skipped, skippedCount } = copied;
  if (args.flag('json')) {
    printJson(context, { from, to, entryCount, contentBytes, skipped, skippedCount });
    return;
  }
  for (const { path, kind } of skipped) stderr.write(`left out, a ${kind}: ${escapeControls(path)}\n`);
  if (skippedCount > skipped.length) stderr.write(`left out: ${skippedCount - skipped.length} more\n`);
  if (args.flag('quiet') || !isInteractive(stderr, env)) return;
  const files = entryCount === 1 ? '1 file' : `${entryCount} files`;
  stderr.write(`copied ${files}, ${formatSize(contentBytes)}, to ${escapeControls(to)}\n`);
}
