/** `hearth shell open`, `read`, `write`, …: shells that stay open between calls, for scripts and agents. */
import { parseDuration } from '../../bytes/index.js';
import type { Command, ParsedArguments } from '../command.js';
import { usageError } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { ENV_OPTIONS, given, readVariables } from '../sandbox-options.js';
import { age } from '../sandbox-table.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

export const shellOpen: Command = {
  name: 'shell open',
  summary: 'Open a shell that stays open between calls, and print its number',
  usage: '[OPTIONS] SANDBOX [--] [COMMAND] [ARG...]',
  options: {
    rows: { type: 'string', value: 'N', help: 'Height of its terminal (default 30)' },
    columns: { type: 'string', value: 'N', help: 'Width of its terminal (default 120)' },
    ...ENV_OPTIONS,
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 1 },
  passesRest: true,
  examples: ['hearth shell open dev', 'hearth shell open dev -- python3'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const env = await readVariables(args, context);
    const { shell } = await withInterrupt(async (signal) => {
      const daemon = await openService(context, { signal });
      const spec = given({
        argv: args.rest.length === 0 ? undefined : [...args.rest],
        rows: numberOf(shellOpen, args, 'rows'),
        columns: numberOf(shellOpen, args, 'columns'),
        workdir: args.text('workdir'),
        user: args.text('user'),
      });
      return await daemon.call('shell.open', { sandbox, env, ...spec }, { signal });
    });
    if (args.flag('json')) printJson(context, { shell });
    else context.stdout.write(`${shell.shell}\n`);
    return 0;
  },
};

export const shellList: Command = {
  name: 'shell list',
  summary: 'List the open shells of a sandbox',
  usage: '[--json] SANDBOX',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const { shells } = await (await openService(context)).call('shell.list', { sandbox });
    if (args.flag('json')) {
      printJson(context, { shells });
      return 0;
    }
    const now = Date.now();
    const rows = shells.map(({ shell, running, exitCode, startedAt }) => [
      String(shell),
      running ? 'running' : exitCode === null ? 'ended' : `ended (${exitCode})`,
      age(now - Date.parse(startedAt)),
    ]);
    context.stdout.write(table(['SHELL', 'STATE', 'OPENED'], rows));
    return 0;
  },
};

export const shellRead: Command = {
  name: 'shell read',
  summary: 'Print what a shell wrote, as a person would see it',
  usage: '[OPTIONS] SANDBOX SHELL',
  options: {
    cursor: { type: 'string', value: 'N', help: 'Begin here, as a read before said (default: all kept)' },
    'wait-idle': { type: 'string', value: 'DURATION', help: 'First wait until nothing has come for so long' },
    timeout: { type: 'string', value: 'DURATION', help: 'The longest wait (default 10s)' },
    raw: { type: 'boolean', help: 'With the control sequences of the terminal' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth shell read --wait-idle 500ms dev 3', 'hearth shell read --json --cursor 812 dev 3'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const idle = args.text('wait-idle');
    const timeout = args.text('timeout');
    const read = await withInterrupt(async (signal) => {
      const daemon = await openService(context, { signal });
      const wishes = given({
        cursor: numberOf(shellRead, args, 'cursor'),
        waitForIdleMs: idle === undefined ? undefined : parseDuration(idle),
        timeoutMs: timeout === undefined ? undefined : parseDuration(timeout),
      });
      const input = { sandbox, shell: shellNumber(shellRead, args), plain: !args.flag('raw'), ...wishes };
      return await daemon.call('shell.read', input, { signal });
    });
    if (args.flag('json')) printJson(context, { ...read });
    else if (args.flag('raw')) context.stdout.write(read.output);
    else {
      const text = escapeControls(read.output);
      context.stdout.write(text === '' || text.endsWith('\n') ? text : `${text}\n`);
    }
    return 0;
  },
};

export const shellWrite: Command = {
  name: 'shell write',
  summary: 'Type a line into a shell',
  usage: '[OPTIONS] SANDBOX SHELL TEXT',
  options: { 'no-newline': { type: 'boolean', help: 'Without Enter at the end' } },
  positionals: { least: 3, most: 3 },
  examples: ['hearth shell write dev 3 "make test"'],
  async run(args, context) {
    const [sandbox = '', , input = ''] = args.positionals;
    const shell = shellNumber(shellWrite, args);
    const newline = !args.flag('no-newline');
    await (await openService(context)).call('shell.write', { sandbox, shell, input, newline });
    return 0;
  },
};

export const shellSignal: Command = {
  name: 'shell signal',
  summary: 'Interrupt what runs in a shell, or send it another signal',
  usage: '[--signal SIGNAL] SANDBOX SHELL',
  options: { signal: { type: 'string', short: 's', value: 'SIGNAL', help: 'Default INT, as Ctrl-C' } },
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const shell = shellNumber(shellSignal, args);
    const wish = given({ signal: args.text('signal') });
    await (await openService(context)).call('shell.signal', { sandbox, shell, ...wish });
    return 0;
  },
};

export const shellClose: Command = {
  name: 'shell close',
  summary: 'Close a shell and end all that runs in it',
  usage: '[--json] SANDBOX SHELL',
  options: JSON_OPTION,
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const number = shellNumber(shellClose, args);
    const { shell } = await (await openService(context)).call('shell.close', { sandbox, shell: number });
    if (args.flag('json')) printJson(context, { shell });
    else context.stdout.write(`${shell.shell}\n`);
    return 0;
  },
};

function shellNumber(command: Command, { positionals }: ParsedArguments): number {
  return whole(command, 'SHELL', positionals[1] ?? '');
}

function numberOf(command: Command, args: ParsedArguments, option: string): number | undefined {
  const text = args.text(option);
  return text === undefined ? undefined : whole(command, `--${option}`, text);
}

function whole(command: Command, what: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw usageError(command, `${what} is not a number: ${text.slice(0, 32)}`);
}
