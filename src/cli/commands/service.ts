/** `hearth service …`: named commands that run on in a sandbox. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDuration } from '../../bytes/index.js';
import type { OperationInput, OperationOutput } from '../../contract/index.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { usageError } from '../command.js';
import { Interrupted, withInterrupt } from '../interrupt.js';
import { ENV_OPTIONS, given, readVariables } from '../sandbox-options.js';
import { age } from '../sandbox-table.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

type ServiceInfo = OperationOutput<'service.status'>['service'];
type Readiness = NonNullable<OperationInput<'service.start'>['ready']>;

const FOLLOW_MS = 300;
const NAME_CHARS = 24;
const SHELL = ['/bin/sh', '-c'];

export const serviceStart: Command = {
  name: 'service start',
  summary: 'Start a service in a sandbox and wait until it is ready',
  usage: '[OPTIONS] SANDBOX NAME [--] COMMAND [ARG...]',
  options: {
    'ready-file': { type: 'string', value: 'PATH', help: 'It is ready once this file is there' },
    'ready-tcp': { type: 'string', value: 'PORT', help: 'It is ready once it listens on this port' },
    'ready-http': { type: 'string', value: 'URL', help: 'It is ready once this answers 200 to 399' },
    'ready-command': { type: 'string', value: 'CMD', help: 'It is ready once this shell command succeeds' },
    'ready-timeout': { type: 'string', value: 'DURATION', help: 'How long that may take (default 1m)' },
    publish: {
      type: 'string',
      short: 'p',
      multiple: true,
      value: '[HOST:]GUEST',
      help: 'A port of 127.0.0.1 that leads to it while it runs',
    },
    ...ENV_OPTIONS,
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  passesRest: true,
  examples: [
    'hearth service start --ready-tcp 8000 -p 8000 dev web -- python3 -m http.server',
    'hearth service start --ready-command "pg_isready" dev db -- postgres -D /data',
  ],
  async run(args, context) {
    const [sandbox = '', name = ''] = args.positionals;
    if (args.rest.length === 0) throw usageError(serviceStart, 'expected a command');
    const ready = readinessOf(args);
    const timeout = args.text('ready-timeout');
    const env = await readVariables(args, context);
    const { service } = await withInterrupt(async (signal) => {
      const daemon = await openService(context, { signal });
      const spec = given({
        ready,
        readyTimeoutMs: timeout === undefined ? undefined : parseDuration(timeout),
        workdir: args.text('workdir'),
        user: args.text('user'),
      });
      const publish = [...args.list('publish')];
      const input = { sandbox, name, argv: [...args.rest], env, publish, ...spec };
      return await daemon.call('service.start', input, { signal });
    });
    if (args.flag('json')) printJson(context, { service });
    else {
      context.stdout.write(`${service.name}\n`);
      for (const { address, hostPort, guestPort } of service.ports) {
        context.stdout.write(`${guestPort}/tcp -> ${address}:${hostPort}\n`);
      }
    }
    return 0;
  },
};

function readinessOf(args: ParsedArguments): Readiness | undefined {
  const [file, tcp, http, command] = ['file', 'tcp', 'http', 'command'].map((kind) =>
    args.text(`ready-${kind}`),
  );
  const found: Readiness[] = [];
  if (file !== undefined) found.push({ kind: 'file', path: file });
  if (tcp !== undefined) {
    const port = /^\d{1,5}$/.test(tcp) ? Number(tcp) : 0;
    if (port < 1 || port > 65_535)
      throw usageError(serviceStart, `--ready-tcp is not a port: ${tcp.slice(0, 32)}`);
    found.push({ kind: 'tcp', port });
  }
  if (http !== undefined) found.push({ kind: 'http', url: http });
  if (command !== undefined) found.push({ kind: 'command', argv: [...SHELL, command] });
  if (found.length > 1) throw usageError(serviceStart, 'give only one of the --ready options');
  return found[0];
}

export const serviceList: Command = {
  name: 'service list',
  summary: 'List the services of a sandbox',
  usage: '[--json] SANDBOX',
  options: JSON_OPTION,
  positionals: { least: 1, most: 1 },
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const { services } = await (await openService(context)).call('service.list', { sandbox });
    if (args.flag('json')) printJson(context, { services });
    else context.stdout.write(serviceTable(services));
    return 0;
  },
};

export const serviceStatus: Command = {
  name: 'service status',
  summary: 'Show how a service is',
  usage: '[--json] SANDBOX NAME',
  options: JSON_OPTION,
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [sandbox = '', name = ''] = args.positionals;
    const { service } = await (await openService(context)).call('service.status', { sandbox, name });
    if (args.flag('json')) printJson(context, { service });
    else context.stdout.write(serviceTable([service]));
    return 0;
  },
};

function serviceTable(services: readonly ServiceInfo[]): string {
  const now = Date.now();
  const rows = services.map((service) => [
    service.name.length > NAME_CHARS ? `${service.name.slice(0, NAME_CHARS - 1)}…` : service.name,
    stateText(service),
    age(now - Date.parse(service.startedAt)),
    service.ports.map(({ hostPort, guestPort }) => `${hostPort}->${guestPort}`).join(' ') || '-',
  ]);
  return table(['NAME', 'STATE', 'STARTED', 'PORTS'], rows);
}

function stateText({ state, exitCode, signal, ready, readyAt }: ServiceInfo): string {
  if (state === 'running') return ready !== null && readyAt !== null ? 'running (ready)' : 'running';
  if (state === 'exited' || state === 'failed') {
    if (signal !== null) return `${state} (${escapeControls(signal)})`;
    return exitCode === null ? state : `${state} (${exitCode})`;
  }
  return state;
}

export const serviceLogs: Command = {
  name: 'service logs',
  summary: 'Show what a service wrote; the last 1 MiB of stdout and of stderr are kept',
  usage: '[OPTIONS] SANDBOX NAME',
  options: {
    tail: { type: 'string', short: 'n', value: 'LINES', help: 'Only the last lines' },
    follow: { type: 'boolean', short: 'f', help: 'Go on with what comes, until it ends or Ctrl-C' },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  examples: ['hearth service logs -f -n 20 dev web'],
  async run(args, context) {
    const [sandbox = '', name = ''] = args.positionals;
    const tail = args.text('tail');
    if (tail !== undefined && !/^\d{1,5}$/.test(tail)) {
      throw usageError(serviceLogs, `--tail is not a number of lines: ${tail.slice(0, 32)}`);
    }
    const wishes = tail === undefined ? {} : { tailLines: Number(tail) };
    const daemon = await openService(context);
    const logs = await daemon.call('service.logs', { sandbox, name, ...wishes });
    if (args.flag('json')) {
      printJson(context, { ...logs });
      return 0;
    }
    print(logs, context);
    if (args.flag('follow')) {
      await follow({ sandbox, name }, logs, context).catch((error: unknown) => {
        if (!(error instanceof Interrupted)) throw error;
      });
    }
    return 0;
  },
};

type Logs = OperationOutput<'service.logs'>;

async function follow(
  which: { readonly sandbox: string; readonly name: string },
  first: Logs,
  context: CommandContext,
): Promise<void> {
  await withInterrupt(async (signal) => {
    const daemon = await openService(context, { signal });
    let last = first;
    for (;;) {
      const { service } = await daemon.call('service.status', which, { signal });
      const { stdoutCursor, stderrCursor } = last;
      last = await daemon.call('service.logs', { ...which, stdoutCursor, stderrCursor }, { signal });
      print(last, context);
      const isSame = last.stdoutCursor === stdoutCursor && last.stderrCursor === stderrCursor;
      if (service.endedAt !== null && isSame) return;
      if (isSame) await sleep(FOLLOW_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  });
}

/** Made harmless: this is not the terminal of the guest. */
function print(logs: Logs, { stdout, stderr }: CommandContext): void {
  stdout.write(escapeControls(logs.stdout.replaceAll('\r\n', '\n')));
  stderr.write(escapeControls(logs.stderr.replaceAll('\r\n', '\n')));
}

export const serviceStop: Command = {
  name: 'service stop',
  summary: 'Stop a service; what it wrote stays',
  usage: '[OPTIONS] SANDBOX NAME',
  options: {
    time: {
      type: 'string',
      short: 't',
      value: 'DURATION',
      help: 'How long it may take to end (default 10s)',
    },
    ...JSON_OPTION,
  },
  positionals: { least: 2, most: 2 },
  async run(args, context) {
    const [sandbox = '', name = ''] = args.positionals;
    const time = args.text('time');
    const grace = time === undefined ? {} : { graceMs: parseDuration(time) };
    const daemon = await openService(context);
    const { service } = await daemon.call('service.stop', { sandbox, name, ...grace });
    if (args.flag('json')) printJson(context, { service });
    else context.stdout.write(`${service.name}\n`);
    return 0;
  },
};
