/** The options that say what tools a coding agent is given, and what it may do with them. */
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import process from 'node:process';
import { MIB, parseDuration, parseSize } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import {
  DEFAULT_PINS,
  findProject,
  MODES,
  type Mode,
  type Pins,
  PROFILES,
  type Profile,
  type ProjectSource,
  toolNamesOf,
  type View,
} from '../mcp/index.js';
import { parseHostPattern } from '../network/index.js';
import type { OptionSpec, ParsedArguments } from './command.js';
import { NETWORK_OPTIONS, readNetwork } from './network-options.js';

const MAX_CPUS = 64;
const MAX_SANDBOXES = 1000;

export const VIEW_OPTIONS = {
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
  ...NETWORK_OPTIONS,
  'allow-ports': { type: 'boolean', help: 'Let ports of sandboxes be published on 127.0.0.1' },
  'project-path': {
    type: 'string',
    value: 'DIR',
    help: 'What /workspace begins with; default: the Git work tree around here',
  },
  'repo-url': { type: 'string', value: 'URL', help: 'Begin with a repository instead' },
  'repo-ref': { type: 'string', value: 'REF', help: 'With --repo-url: its branch, tag or commit' },
  'no-project-source': { type: 'boolean', help: 'Begin with an empty /workspace' },
  'all-sandboxes': { type: 'boolean', help: 'Show sandboxes that others made, too' },
} as const satisfies Record<string, OptionSpec>;

/** Where the server is started. */
export interface ViewPlace {
  readonly cwd: string;
  readonly home: string;
}

export const viewPlace = (env: Readonly<Record<string, string | undefined>>): ViewPlace => ({
  cwd: process.cwd(),
  home: env.HOME ?? homedir(),
});

/** @throws {HearthError} `USAGE_INVALID`. */
export function readView(args: ParsedArguments, place: ViewPlace): View {
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
  const network = readNetwork(args);
  for (const host of network.allowHosts ?? []) parseHostPattern(host);
  const project = readProject(args, place);
  const pins: Pins = {
    images: args.list('image'),
    maxSandboxes: count(args, 'max-sandboxes', MAX_SANDBOXES) ?? DEFAULT_PINS.maxSandboxes,
    maxTimeoutMs: ms('max-timeout', DEFAULT_PINS.maxTimeoutMs),
    idleTimeoutMs: ms('idle-timeout', DEFAULT_PINS.idleTimeoutMs),
    outputBytes: bytes('max-output') ?? DEFAULT_PINS.outputBytes,
    allSandboxes: args.flag('all-sandboxes'),
    network,
    allowPorts: args.flag('allow-ports'),
    ...(project === undefined ? {} : { project }),
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

function readProject(args: ParsedArguments, { cwd, home }: ViewPlace): ProjectSource | undefined {
  const [path, url, ref] = [args.text('project-path'), args.text('repo-url'), args.text('repo-ref')];
  const none = args.flag('no-project-source');
  const given = [path, url, none ? '' : undefined].filter((one) => one !== undefined).length;
  if (given > 1 || (ref !== undefined && url === undefined)) {
    throw new HearthError('USAGE_INVALID', 'a sandbox begins with one project', {
      hint: 'Give one of --project-path DIR, --repo-url URL [--repo-ref REF], and --no-project-source.',
    });
  }
  for (const word of [url, ref]) {
    if (word === undefined || /^[^-\s][^\s]*$/.test(word)) continue;
    throw new HearthError('USAGE_INVALID', `nothing that git fetches: ${JSON.stringify(word.slice(0, 64))}`, {
      hint: 'Give a URL, for example --repo-url https://example.org/project.git --repo-ref main.',
    });
  }
  if (none) return undefined;
  if (url !== undefined) return { kind: 'repository', url, ...(ref === undefined ? {} : { ref }) };
  if (path === undefined) return findProject(cwd, { home });
  const directory = resolve(cwd, path);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true)
    return { kind: 'directory', path: directory };
  throw new HearthError('USAGE_INVALID', `the project ${directory} is not a directory`, {
    hint: 'Give --project-path DIR, --repo-url URL, or --no-project-source.',
    details: { path: directory },
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
