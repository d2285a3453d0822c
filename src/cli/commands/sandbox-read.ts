/** Commands that look at sandboxes and change nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationOutput, Service } from '../../contract/index.js';
import { HearthError } from '../../errors/index.js';
import { type Command, type CommandContext, type ParsedArguments, usageError } from '../command.js';
import { showEgress } from '../egress-log.js';
import { Interrupted, withInterrupt } from '../interrupt.js';
import { readLabels } from '../sandbox-options.js';
import { cpuPercent, sandboxTable, statsTable } from '../sandbox-table.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls } from '../terminal.js';

type Listed = OperationOutput<'sandbox.list'>['sandboxes'][number];
type Stats = OperationOutput<'sandbox.stats'>;

const SAMPLE_MS = 500;
const FOLLOW_MS = 300;
const ENDED_STATES = new Set(['created', 'stopped', 'failed']);

export const ps: Command = {
  name: 'ps',
  summary: 'List sandboxes',
  usage: '[OPTIONS]',
  options: {
    all: { type: 'boolean', short: 'a', help: 'Also those that do not run' },
    label: { type: 'string', short: 'l', multiple: true, value: 'KEY[=VALUE]', help: 'Only with this label' },
    sort: { type: 'string', value: 'ORDER', help: 'created (default), activity (last used first) or name' },
    quiet: { type: 'boolean', short: 'q', help: 'Print only the ids' },
    ...JSON_OPTION,
  },
  positionals: { least: 0, most: 0 },
  async run(args, context) {
    const order = orderOf(args.text('sort'));
    const service = await openService(context);
    const { sandboxes, damaged } = await service.call('sandbox.list', {});
    const wanted = sandboxes
      .filter(
        (sandbox) =>
          (args.flag('all') || !ENDED_STATES.has(sandbox.state)) && hasLabels(sandbox, args.list('label')),
      )
      .sort(order);
    const { stdout, stderr } = context;
    if (args.flag('json')) printJson(context, { sandboxes: wanted, damaged });
    else if (args.flag('quiet')) stdout.write(wanted.map(({ id }) => `${id}\n`).join(''));
    else stdout.write(sandboxTable(wanted, Date.now()));
    if (!args.flag('json')) {
      for (const { id, error } of damaged) {
        stderr.write(`warning: ${escapeControls(error.message)}; hearth rm --force ${id}\n`);
      }
    }
    return 0;
  },
};

/** The list comes oldest first, and sorting keeps that among equals. */
function orderOf(word = 'created'): (one: Listed, other: Listed) => number {
  const orders: Readonly<Record<string, (one: Listed, other: Listed) => number>> = {
    created: () => 0,
    activity: (one, other) => other.lastActiveAt.localeCompare(one.lastActiveAt),
    name: (one, other) => one.name.localeCompare(other.name),
  };
  const order = Object.hasOwn(orders, word) ? orders[word] : undefined;
  if (order !== undefined) return order;
  throw usageError(ps, `--sort takes created, activity or name, not ${word.slice(0, 32)}`);
}

/** A word without `=` asks for the label with any value. */
function hasLabels({ labels }: Listed, words: readonly string[]): boolean {
  const wanted = Object.entries(readLabels(words));
  return wanted.every(([key, value]) =>
    words.includes(key) ? Object.hasOwn(labels, key) : labels[key] === value,
  );
}

export const inspect: Command = {
  name: 'inspect',
  summary: 'Show everything about a sandbox as JSON',
  usage: 'SANDBOX',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const service = await openService(context);
    printJson(context, await service.call('sandbox.inspect', { sandbox }));
    return 0;
  },
};

export const port: Command = {
  name: 'port',
  summary: 'List the published ports of a running sandbox',
  usage: '[--json] SANDBOX',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [reference = ''] = args.positionals;
    const service = await openService(context);
    const { sandbox } = await service.call('sandbox.inspect', { sandbox: reference });
    const isOpen = !ENDED_STATES.has(sandbox.state);
    const ports = sandbox.ports.filter(({ published }) => isOpen && published !== null);
    if (args.flag('json')) printJson(context, { ports });
    else {
      for (const { guestPort, address, published } of ports) {
        const host = address.includes(':') ? `[${address}]` : address;
        context.stdout.write(`${guestPort}/tcp -> ${host}:${published}\n`);
      }
    }
    return 0;
  },
};

export const stats: Command = {
  name: 'stats',
  summary: 'Show what sandboxes use',
  usage: '[--json] [SANDBOX...]',
  options: JSON_OPTION,
  positionals: { least: 0, most: 1000 },
  async run(args, context) {
    const service = await openService(context);
    const names = await namesFor(args, service);
    const first = await sample(service, names);
    await sleep(SAMPLE_MS);
    const second = await sample(service, [...first.keys()]);
    const pairs = [...second].flatMap(([name, stats]) => {
      const before = first.get(name);
      return before === undefined ? [] : [[before, stats] as const];
    });
    if (args.flag('json')) {
      printJson(context, {
        stats: pairs.map(([before, now]) => ({
          id: now.id,
          name: now.name,
          cpuPercent: Number(cpuPercent(before, now).toFixed(1)),
          host: now.host,
          guest: now.guest,
        })),
      });
    } else context.stdout.write(statsTable(pairs));
    return 0;
  },
};

/** Those that are named, or all that run. */
async function namesFor(args: ParsedArguments, service: Service): Promise<readonly string[]> {
  if (args.positionals.length > 0) return args.positionals;
  const { sandboxes } = await service.call('sandbox.list', {});
  return sandboxes.filter(({ state }) => state === 'running' || state === 'paused').map(({ id }) => id);
}

/** One that stops meanwhile is left out, unless it is the only one asked for. */
async function sample(service: Service, names: readonly string[]): Promise<Map<string, Stats>> {
  const answers = await Promise.all(
    names.map(async (sandbox) => {
      try {
        return [sandbox, await service.call('sandbox.stats', { sandbox })] as const;
      } catch (error) {
        const hasStopped = HearthError.is(error) && error.code === 'SANDBOX_NOT_RUNNING';
        if (names.length === 1 || !hasStopped) throw error;
        return undefined;
      }
    }),
  );
  return new Map(answers.filter((answer) => answer !== undefined));
}

export const logs: Command = {
  name: 'logs',
  summary: "Show a sandbox's console, its connections, or the output of a detached command",
  usage: '[OPTIONS] SANDBOX',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'Go on with what comes, until Ctrl-C' },
    exec: { type: 'string', value: 'ID', help: 'What is kept of the output of this detached command' },
    egress: { type: 'boolean', help: 'What it has connected to, or was refused' },
    json: { type: 'boolean', help: 'With --egress: one JSON document a line' },
  },
  positionals: { least: 1, most: 1 },
  examples: ['hearth logs -f dev', 'hearth logs --egress dev'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const exec = args.text('exec');
    const [follow, egress, json] = [args.flag('follow'), args.flag('egress'), args.flag('json')];
    if ((egress && exec !== undefined) || (json && !egress)) throw oneLogOnly();
    try {
      await withInterrupt(async (signal) => {
        const service = await openService(context, { signal });
        if (egress) await showEgress(service, sandbox, context, { follow, json, signal });
        else if (exec === undefined) await showConsole(service, sandbox, follow, context, signal);
        else await showExec(service, sandbox, execNumber(exec), follow, context, signal);
      });
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
    }
    return 0;
  },
};

async function showConsole(
  service: Service,
  sandbox: string,
  follow: boolean,
  { stdout }: CommandContext,
  signal: AbortSignal,
): Promise<void> {
  let cursor: string | undefined;
  for (;;) {
    const piece = await service.call('sandbox.logs', {
      sandbox,
      ...(cursor === undefined ? {} : { cursor }),
    });
    stdout.write(readable(Buffer.from(piece.base64, 'base64')));
    cursor = piece.cursor;
    if (!follow) return;
    await sleep(FOLLOW_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Takes the command up only to read; it goes on. Without `follow`, ends with what is kept by now. */
async function showExec(
  service: Service,
  sandbox: string,
  execId: number,
  follow: boolean,
  { stdout, stderr }: CommandContext,
  signal: AbortSignal,
): Promise<void> {
  const { execs } = await service.call('sandbox.inspect', { sandbox });
  const record = execs.find((one) => one.execId === execId);
  const guest = await service.process('exec.attach', { sandbox, execId }, { signal });
  const { stdoutCursor, stderrCursor } = await guest.started;
  const kept = {
    stdout: (record?.stdoutBytes ?? 0) - stdoutCursor,
    stderr: (record?.stderrBytes ?? 0) - stderrCursor,
  };
  const ended = guest.exited.then(() => true);
  let left = 2;
  const show = async (from: NodeJS.ReadableStream, to: NodeJS.WriteStream, bytes: number): Promise<void> => {
    let shown = 0;
    for await (const chunk of shown >= bytes && !follow ? [] : from) {
      const piece = Buffer.from(chunk as Uint8Array);
      shown += piece.byteLength;
      to.write(readable(piece));
      if (!follow && shown >= bytes) break;
    }
    left -= 1;
    if (left === 0 && !follow) guest.abandon(new Error('all that is kept was read'));
  };
  await Promise.all([
    show(guest.stdout, stdout, kept.stdout),
    show(guest.stderr, stderr, kept.stderr),
    ended.catch((error: unknown) => {
      if (follow) throw error;
    }),
  ]);
}

function oneLogOnly(): HearthError {
  return new HearthError('USAGE_INVALID', '--exec, --egress and --json do not go together like this', {
    hint: 'Type `hearth logs --egress [--json] SANDBOX`, or `hearth logs --exec ID SANDBOX`.',
  });
}

function execNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new HearthError(
    'USAGE_INVALID',
    `not the number of a command: ${JSON.stringify(text.slice(0, 32))}`,
    {
      hint: 'Give the number that `hearth exec -d` printed; `hearth inspect` lists them.',
      details: { exec: text.slice(0, 32) },
    },
  );
}

/** Made harmless: this is not the terminal of the guest. */
function readable(bytes: Buffer): string {
  return escapeControls(bytes.toString('utf8').replaceAll('\r\n', '\n'));
}
