/** `hearth mcp install`, `print-config` and `doctor`: the configurations of coding agents. */
import { resolve } from 'node:path';
import { HearthError } from '../../errors/index.js';
import {
  CLIENT_NAMES,
  type ClientName,
  type ClientReport,
  type ClientState,
  type ConfigScope,
  clientTitle,
  inspectClient,
  installEntry,
  type Launcher,
  ownProgram,
  printableConfig,
  repairClient,
} from '../../mcp-clients/index.js';
import { type Command, type CommandContext, type ParsedArguments, parseArguments } from '../command.js';
import { readView, VIEW_OPTIONS, type ViewPlace, viewPlace } from '../mcp-view.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { escapeControls, type Style, styleFor } from '../terminal.js';
import { mcp } from './mcp.js';

const DRIFTED_EXIT_CODE = 1;
const DEFAULT_NAME = 'hearth';
const SCOPES = ['user', 'project'] as const;

const NAME_OPTION = {
  name: { type: 'string', value: 'NAME', help: 'What the agent calls the server (default hearth)' },
} as const;
const SCOPE_OPTION = {
  scope: {
    type: 'string',
    value: 'user|project',
    help: 'Yours (default), or that of the project in this directory',
  },
} as const;
const COMMAND_OPTION = {
  command: {
    type: 'string',
    value: 'PROGRAM',
    help: 'What the agent starts instead of this very program, for example hearth',
  },
} as const;
const CLIENTS_TEXT = CLIENT_NAMES.join(', ');

export const mcpInstall: Command = {
  name: 'mcp install',
  summary: `Make hearth a server of a coding agent: ${CLIENTS_TEXT}`,
  usage: '[OPTIONS] CLIENT',
  options: {
    ...SCOPE_OPTION,
    ...NAME_OPTION,
    ...COMMAND_OPTION,
    'dry-run': { type: 'boolean', help: 'Say what would be written, and write nothing' },
    ...VIEW_OPTIONS,
  },
  positionals: { least: 1, most: 1 },
  examples: ['hearth mcp install claude-code', 'hearth mcp install codex --image debian:12 --dry-run'],
  async run(args, context) {
    const client = readClient(args.positionals[0]);
    const { entryName, launcher, options, ...place } = readEntry(args, context);
    const dryRun = args.flag('dry-run');
    const entry = { entryName, launcher, options };
    const { path, changed, backup } = await installEntry(client, { ...place, ...entry, dryRun });
    const { stdout } = context;
    if (!changed) stdout.write(`${path} has the entry already\n`);
    else if (dryRun) stdout.write(`would put into ${path}:\n${await printableConfig(client, entry)}`);
    else {
      stdout.write(`${path} has the entry ${entryName} now\n`);
      if (backup !== undefined) stdout.write(`what was there before: ${backup}\n`);
      stdout.write(`Start ${clientTitle(client)} anew to use it.\n`);
    }
    return 0;
  },
};

export const mcpPrintConfig: Command = {
  name: 'mcp print-config',
  summary: `Print the entry to put in by hand: ${CLIENTS_TEXT}`,
  usage: '[OPTIONS] CLIENT',
  options: { ...NAME_OPTION, ...COMMAND_OPTION, ...VIEW_OPTIONS },
  positionals: { least: 1, most: 1 },
  examples: ['hearth mcp print-config opencode', 'hearth mcp print-config vscode --profile full'],
  async run(args, context) {
    const client = readClient(args.positionals[0]);
    context.stdout.write(await printableConfig(client, readEntry(args, context)));
    return 0;
  },
};

export const mcpDoctor: Command = {
  name: 'mcp doctor',
  summary: 'Check whether coding agents still start this hearth',
  usage: '[OPTIONS] [CLIENT]',
  options: {
    ...SCOPE_OPTION,
    ...NAME_OPTION,
    repair: { type: 'boolean', help: 'Put right the entries that do not; their options stay' },
    'dry-run': { type: 'boolean', help: 'With --repair: say what would be written, and write nothing' },
    ...JSON_OPTION,
  },
  positionals: { least: 0, most: 1 },
  examples: ['hearth mcp doctor', 'hearth mcp doctor --repair codex'],
  async run(args, context) {
    const [only] = args.positionals;
    const scope = readScope(args);
    const clients = only === undefined ? clientsOf(scope) : [readClient(only)];
    const inspected = {
      ...placeOf(context),
      scope,
      entryName: readName(args),
      launcher: ownProgram(context.env),
      checkOptions: checkOptions(viewPlace(context.env)),
    };
    const rows: DoctorRow[] = [];
    for (const client of clients) {
      const report = await inspectClient(client, inspected);
      if (!args.flag('repair') || report.state !== 'drifted') rows.push({ ...report, repaired: false });
      else {
        const { backup } = await repairClient(report, { ...inspected, dryRun: args.flag('dry-run') });
        const repaired = !args.flag('dry-run');
        rows.push({ ...report, repaired, ...(backup === undefined ? {} : { backup }) });
      }
    }
    if (args.flag('json')) printJson(context, { clients: rows });
    else context.stdout.write(doctorLines(rows, styleFor(context.stdout, context.env)));
    const isBad = ({ state, repaired }: DoctorRow): boolean =>
      !repaired && (state === 'drifted' || state === 'unreadable');
    return rows.some(isBad) ? DRIFTED_EXIT_CODE : 0;
  },
};

interface DoctorRow extends ClientReport {
  readonly repaired: boolean;
  readonly backup?: string;
}

const STATE_TEXT: Readonly<Record<ClientState, string>> = {
  ok: 'ok',
  off: 'switched off',
  absent: 'no entry',
  drifted: 'drifted',
  unreadable: 'unreadable',
};

function doctorLines(rows: readonly DoctorRow[], style: Style): string {
  const width = Math.max(...rows.map(({ client }) => client.length));
  const lines = rows.flatMap(({ client, path, state, problems, repaired, backup }) => {
    const isBad = state === 'drifted' || state === 'unreadable';
    const paint = repaired || state === 'ok' ? style.green : isBad ? style.red : style.dim;
    const text = paint((repaired ? 'repaired' : STATE_TEXT[state]).padEnd(12));
    const indent = ' '.repeat(width + 2);
    return [
      `${style.bold(client.padEnd(width))}  ${text}  ${escapeControls(path)}`,
      ...problems.map((problem) => `${indent}${escapeControls(problem)}`),
      ...(backup === undefined ? [] : [`${indent}what was there before: ${escapeControls(backup)}`]),
      ...(state === 'drifted' && !repaired ? [`${indent}mend it: hearth mcp doctor --repair ${client}`] : []),
    ];
  });
  return `${lines.join('\n')}\n`;
}

/** @throws {HearthError} `USAGE_INVALID` when the server would refuse these words. */
const checkOptions =
  (place: ViewPlace) =>
  (words: readonly string[]): void =>
    void readView(parseArguments(mcp, words), place);

function readEntry(args: ParsedArguments, context: CommandContext) {
  const command = args.text('command');
  const own = ownProgram(context.env);
  const launcher: Launcher = command === undefined ? own : { ...own, program: [command] };
  const place = viewPlace(context.env);
  const options = viewWords(args, place);
  checkOptions(place)(options);
  return { ...placeOf(context), scope: readScope(args), entryName: readName(args), launcher, options };
}

/** The options about the tools, as words again. */
function viewWords(args: ParsedArguments, { cwd }: ViewPlace): string[] {
  return Object.entries(VIEW_OPTIONS).flatMap(([name, spec]) => {
    if (spec.type === 'boolean') return args.flag(name) ? [`--${name}`] : [];
    const text = args.text(name);
    const values = text === undefined ? args.list(name) : [text];
    // The agent starts the server somewhere else.
    const absolute = (value: string): string => (name === 'project-path' ? resolve(cwd, value) : value);
    return values.flatMap((value) => [`--${name}`, absolute(value)]);
  });
}

const placeOf = ({ env }: CommandContext) => ({ ...viewPlace(env), env });

const clientsOf = (scope: ConfigScope): readonly ClientName[] =>
  CLIENT_NAMES.filter((name) => scope === 'user' || name !== 'claude-desktop');

function readClient(text: string | undefined): ClientName {
  const found = CLIENT_NAMES.find((name) => name === text);
  if (found !== undefined) return found;
  throw new HearthError('USAGE_INVALID', `no client ${JSON.stringify((text ?? '').slice(0, 64))}`, {
    hint: `Use one of ${CLIENTS_TEXT}; others take what \`hearth mcp print-config cursor\` shows.`,
    details: { client: (text ?? '').slice(0, 64), clients: CLIENT_NAMES },
  });
}

function readScope(args: ParsedArguments): ConfigScope {
  const text = args.text('scope') ?? 'user';
  const found = SCOPES.find((scope) => scope === text);
  if (found !== undefined) return found;
  throw new HearthError('USAGE_INVALID', `no scope ${JSON.stringify(text.slice(0, 64))}`, {
    hint: 'Use --scope user or project.',
    details: { scope: text.slice(0, 64), scopes: SCOPES },
  });
}

function readName(args: ParsedArguments): string {
  const text = args.text('name') ?? DEFAULT_NAME;
  if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return text;
  throw new HearthError('USAGE_INVALID', `no name of a server: ${JSON.stringify(text.slice(0, 64))}`, {
    hint: 'Use up to 64 letters, digits, - and _.',
    details: { name: text.slice(0, 64) },
  });
}
