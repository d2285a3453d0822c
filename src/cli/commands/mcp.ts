/** `hearth mcp`: hearth's tools for coding agents, on standard input and output or over HTTP. */
import { MIB, parseDuration, parseSize } from '../../bytes/index.js';
import { HearthError } from '../../errors/index.js';
import { packageVersion } from '../../fsx/index.js';
import {
  createBackend,
  DEFAULT_PINS,
  MODES,
  type Mode,
  type Pins,
  PROFILES,
  type Profile,
  serveOverHttp,
  serveOverStdio,
  toolNamesOf,
  type View,
} from '../../mcp/index.js';
import type { Command, ParsedArguments } from '../command.js';
import { withInterrupt } from '../interrupt.js';
import { listenOptions, readListenOptions } from '../listen-options.js';
import { escapeControls } from '../terminal.js';

const MAX_CPUS = 64;
const MAX_SANDBOXES = 1000;

export const mcp: Command = {
  name: 'mcp',
  summary: 'Serve hearth’s tools to a coding agent (Model Context Protocol) on stdin and stdout',
  usage: '[OPTIONS]',
  options: {
    profile: { type: 'string', value: 'PROFILE', help: 'run, core (default) or full: which tools there are' },
    mode: {
      type: 'string',
      value: 'MODE',
      help: 'repro-fix, inspect, cold-start or review-eval: only what that work needs',
    },
    image: {
      type: 'string',
      multiple: true,
      value: 'IMAGE',
      help: 'The only environments there are; the first is the default',
    },
    cpus: { type: 'string', short: 'c', value: 'N', help: 'Virtual processors of every VM' },
    memory: { type: 'string', short: 'm', value: 'SIZE', help: 'Memory of every VM' },
    disk: { type: 'string', value: 'SIZE', help: 'Disk of every VM' },
    'max-sandboxes': { type: 'string', value: 'N', help: 'Sandboxes there may be at once (default 8)' },
    'max-timeout': { type: 'string', value: 'DURATION', help: 'Longest run of a command (default 1h)' },
    'idle-timeout': {
      type: 'string',
      value: 'DURATION',
      help: 'Stop a sandbox after this long without a command (default 30m)',
    },
    'max-output': {
      type: 'string',
      value: 'SIZE',
      help: 'Of each of stdout and stderr in one result (default 24K)',
    },
    'all-sandboxes': { type: 'boolean', help: 'Show sandboxes that others made, too' },
    ...listenOptions('Serve over HTTP on TCP instead'),
  },
  positionals: { least: 0, most: 0 },
  examples: [
    'hearth mcp',
    'hearth mcp --profile full --image debian:12 --memory 1G',
    'hearth mcp --listen 127.0.0.1:7421 --token-file ~/.hearth-token',
  ],
  async run(args, { paths, env, stdin, stdout, stderr }) {
    const view = readView(args);
    const version = packageVersion();
    const backend = createBackend({ paths, version, env });
    const onError = ({ message }: Error): void => {
      stderr.write(`hearth mcp: ${escapeControls(message)}\n`);
    };
    const tcp = await readListenOptions(args, 'hearth mcp');
    const onReady = (url: string): void => {
      stderr.write(`hearth ${version} serves its tools at ${url}\n`);
    };
    await withInterrupt((signal) =>
      tcp === undefined
        ? serveOverStdio({ view, backend, version, stdin, stdout, signal, onError })
        : serveOverHttp({ view, backend, version, ...tcp, signal, onReady, onError }),
    );
    return 0;
  },
};

function readView(args: ParsedArguments): View {
  const mode = choice(args, 'mode', MODES);
  // A mode chooses among all tools unless a smaller profile is asked for.
  const profile: Profile = choice(args, 'profile', PROFILES) ?? (mode === undefined ? 'core' : 'full');
  const ms = (option: string, fallback: number): number => {
    const text = args.text(option);
    return text === undefined ? fallback : parseDuration(text);
  };
  const bytes = (option: string): number | undefined => {
    const text = args.text(option);
    return text === undefined ? undefined : parseSize(text);
  };
  const cpus = count(args, 'cpus', MAX_CPUS);
  const memoryBytes = bytes('memory');
  const diskBytes = bytes('disk');
  const pins: Pins = {
    images: args.list('image'),
    maxSandboxes: count(args, 'max-sandboxes', MAX_SANDBOXES) ?? DEFAULT_PINS.maxSandboxes,
    maxTimeoutMs: ms('max-timeout', DEFAULT_PINS.maxTimeoutMs),
    idleTimeoutMs: ms('idle-timeout', DEFAULT_PINS.idleTimeoutMs),
    outputBytes: bytes('max-output') ?? DEFAULT_PINS.outputBytes,
    allSandboxes: args.flag('all-sandboxes'),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memoryBytes === undefined ? {} : { memoryMib: Math.floor(memoryBytes / MIB) }),
    ...(diskBytes === undefined ? {} : { diskBytes }),
  };
  const view: View = { profile, ...(mode === undefined ? {} : { mode }), pins };
  if (toolNamesOf(view).length > 0) return view;
  throw new HearthError('USAGE_INVALID', `profile ${profile} has none of the tools of mode ${mode}`, {
    hint: 'Leave out --profile, or --mode.',
    details: { profile, mode },
  });
}

function choice<T extends Mode | Profile>(
  args: ParsedArguments,
  option: string,
  choices: readonly T[],
): T | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const found = choices.find((one) => one === text);
  if (found !== undefined) return found;
  throw new HearthError('USAGE_INVALID', `no ${option} ${JSON.stringify(text.slice(0, 64))}`, {
    hint: `Use --${option} ${choices.join(', ')}.`.replace(/, ([^,]*)$/, ' or $1'),
    details: { [option]: text.slice(0, 64), choices },
  });
}

function count(args: ParsedArguments, option: string, most: number): number | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= most) return value;
  throw new HearthError(
    'USAGE_INVALID',
    `--${option} is ${JSON.stringify(text.slice(0, 64))}, expected 1 to ${most}`,
    {
      hint: `Give a whole number, for example --${option} 2.`,
      details: { option, value: text.slice(0, 64), least: 1, most },
    },
  );
}
