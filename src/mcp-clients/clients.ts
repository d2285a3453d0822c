/**
 * The programs that hearth can be a server of: where each keeps its servers, and what an entry looks like there.
 *
 * Sources, as of November 2026: code.claude.com/docs/en/mcp, developers.openai.com/codex/mcp,
 * opencode.ai/docs/mcp-servers, modelcontextprotocol.io/docs/develop/connect-local-servers, cursor.com/docs/mcp,
 * code.visualstudio.com/docs/copilot/reference/mcp-configuration.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigFormat, ConfigObject } from './config-text.js';
import type { Launch } from './launch.js';

export const CLIENT_NAMES = [
  'claude-code',
  'codex',
  'opencode',
  'claude-desktop',
  'cursor',
  'vscode',
] as const;
export type ClientName = (typeof CLIENT_NAMES)[number];

/** The user's configuration, or the one of the project in the current directory. */
export type ConfigScope = 'user' | 'project';

export interface ClientPlace {
  /** The user's home directory. */
  readonly home: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Client {
  readonly title: string;
  readonly format: ConfigFormat;
  /** Undefined where the client has no configuration of that scope. */
  path(scope: ConfigScope, place: ClientPlace): string | undefined;
  /** The names of the objects above the entries. */
  parents(document: ConfigObject): readonly string[];
  /** The fields that are ours; others in an entry are the user's. */
  entry(launch: Launch): ConfigObject;
  /** Undefined when an entry does not start a program. */
  launch(entry: ConfigObject): Launch | undefined;
}

const isObject = (value: unknown): value is ConfigObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function words(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((word) => typeof word === 'string') ? value : undefined;
}

function variables(value: unknown): Record<string, string> {
  if (!isObject(value)) return {};
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(entries);
}

const withEnv = (field: string, env: Launch['env']): ConfigObject =>
  Object.keys(env).length === 0 ? {} : { [field]: { ...env } };

/** `command`, `args` and `env`, as most clients have them. */
const usual = (more: ConfigObject): Pick<Client, 'entry' | 'launch'> => ({
  entry: ({ command, args, env }) => ({ ...more, command, args: [...args], ...withEnv('env', env) }),
  launch({ command, args = [], env }) {
    const read = words(args);
    return typeof command === 'string' && read !== undefined
      ? { command, args: read, env: variables(env) }
      : undefined;
  },
});

const configHome = ({ home, env }: ClientPlace): string => {
  const { XDG_CONFIG_HOME: given = '' } = env;
  return given.startsWith('/') ? given : join(home, '.config');
};
const mcpServers = () => ['mcpServers'];

export const CLIENTS: Readonly<Record<ClientName, Client>> = {
  'claude-code': {
    title: 'Claude Code',
    format: 'json',
    path: (scope, { home, cwd, env }) =>
      scope === 'project' ? join(cwd, '.mcp.json') : join(env.CLAUDE_CONFIG_DIR ?? home, '.claude.json'),
    parents: mcpServers,
    ...usual({ type: 'stdio' }),
  },
  codex: {
    title: 'Codex',
    format: 'toml',
    path: (scope, { home, cwd, env }) =>
      scope === 'project'
        ? join(cwd, '.codex', 'config.toml')
        : join(env.CODEX_HOME ?? join(home, '.codex'), 'config.toml'),
    parents: () => ['mcp_servers'],
    // Its own limit for one call is a minute: less than a first pull takes.
    ...usual({ tool_timeout_sec: 600 }),
  },
  opencode: {
    title: 'OpenCode',
    format: 'json',
    path(scope, place) {
      const directory = scope === 'project' ? place.cwd : join(configHome(place), 'opencode');
      const [json, jsonc] = [join(directory, 'opencode.json'), join(directory, 'opencode.jsonc')];
      return !existsSync(json) && existsSync(jsonc) ? jsonc : json;
    },
    // Version 2 has its entries in an object `servers`; in version 1 that would be an entry itself, with a type.
    parents: ({ mcp }) =>
      isObject(mcp) && isObject(mcp.servers) && !('type' in mcp.servers) && !('enabled' in mcp.servers)
        ? ['mcp', 'servers']
        : ['mcp'],
    entry: ({ command, args, env }) => ({
      type: 'local',
      command: [command, ...args],
      ...withEnv('environment', env),
    }),
    launch({ command, environment }) {
      const [first, ...args] = words(command) ?? [];
      return first === undefined ? undefined : { command: first, args, env: variables(environment) };
    },
  },
  'claude-desktop': {
    title: 'Claude Desktop',
    format: 'json',
    path: (scope, place) =>
      scope === 'project' ? undefined : join(configHome(place), 'Claude', 'claude_desktop_config.json'),
    parents: mcpServers,
    ...usual({}),
  },
  cursor: {
    title: 'Cursor',
    format: 'json',
    path: (scope, { home, cwd }) => join(scope === 'project' ? cwd : home, '.cursor', 'mcp.json'),
    parents: mcpServers,
    ...usual({ type: 'stdio' }),
  },
  vscode: {
    title: 'VS Code',
    format: 'json',
    path: (scope, place) =>
      scope === 'project'
        ? join(place.cwd, '.vscode', 'mcp.json')
        : join(configHome(place), 'Code', 'User', 'mcp.json'),
    parents: () => ['servers'],
    ...usual({ type: 'stdio' }),
  },
};

export const clientTitle = (name: ClientName): string => CLIENTS[name].title;
