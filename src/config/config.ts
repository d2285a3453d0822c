/**
 * The user's settings: `config/config.toml`. A file that is not there says nothing; one with an unknown key or a
 * wrong type is refused as a whole, so that a misspelt setting is never silently without effect.
 *
 *     [run]
 *     cpus = 2
 *     memory = "1G"
 *     accel = "auto"
 *
 *     [registry]
 *     insecure = ["localhost:5000"]
 *     ca-file = "/etc/ssl/my-ca.pem"
 *     [registry.mirrors]
 *     "docker.io" = ["mirror.example.org"]
 */
import { join } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { type HearthPaths, readFileBounded } from '../fsx/index.js';

export interface Config {
  readonly run: { readonly cpus?: number; readonly memory?: string; readonly accel?: string };
  readonly registry: {
    readonly insecure?: readonly string[];
    readonly mirrors?: Readonly<Record<string, readonly string[]>>;
    readonly caFile?: string;
  };
}

const CONFIG_FILE = 'config.toml';
const MAX_CONFIG_BYTES = 256 * 1024;
const NOTHING: Config = { run: {}, registry: {} };

type Table = Readonly<Record<string, unknown>>;

/** @throws {HearthError} `CONFIG_INVALID` naming the file, the key and what was expected. */
export async function loadConfig(paths: HearthPaths): Promise<Config> {
  const path = join(paths.config, CONFIG_FILE);
  let text: string;
  try {
    text = (await readFileBounded(path, MAX_CONFIG_BYTES)).toString('utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return NOTHING;
    throw error;
  }
  return await parseConfig(text, path);
}

/** @param path Shown in errors. */
export async function parseConfig(text: string, path: string): Promise<Config> {
  // Loaded here, because most users have no such file.
  const { parse, TomlError } = await import('smol-toml');
  let document: Table;
  try {
    document = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw invalid(path, `line ${error.line}`, error.message.split('\n')[0] ?? 'malformed');
  }
  const check = new Checker(path);
  check.keys(document, '', ['run', 'registry']);
  const run = check.table(document, 'run');
  check.keys(run, 'run.', ['cpus', 'memory', 'accel']);
  const registry = check.table(document, 'registry');
  check.keys(registry, 'registry.', ['insecure', 'mirrors', 'ca-file']);
  const mirrors = check.table(registry, 'mirrors', 'registry.');
  return {
    run: {
      ...check.optional(run, 'cpus', 'run.', 'cpus', isWholeNumber, 'a whole number'),
      ...check.optional(run, 'memory', 'run.', 'memory', isText, 'a size such as "1G"'),
      ...check.optional(run, 'accel', 'run.', 'accel', isText, '"auto", "kvm" or "tcg"'),
    },
    registry: {
      ...check.optional(registry, 'insecure', 'registry.', 'insecure', isTextList, 'a list of hosts'),
      ...check.optional(registry, 'ca-file', 'registry.', 'caFile', isText, 'the path of a PEM file'),
      ...(registry.mirrors === undefined ? {} : { mirrors: check.lists(mirrors, 'registry.mirrors.') }),
    },
  };
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isWholeNumber = (value: unknown): value is number => Number.isSafeInteger(value);
const isTextList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(isText);

function invalid(path: string, where: string, expected: string): HearthError {
  return new HearthError('CONFIG_INVALID', `${path}: ${where}: ${expected}`, {
    hint: `Correct the file, or move it away to go on without it.`,
    details: { path, where, expected },
  });
}

class Checker {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  keys(table: Table, prefix: string, known: readonly string[]): void {
    const unknown = Object.keys(table).find((key) => !known.includes(key));
    if (unknown !== undefined) {
      throw invalid(this.#path, `${prefix}${unknown}`, `unknown; known here: ${known.join(', ')}`);
    }
  }

  table(parent: Table, key: string, prefix = ''): Table {
    const value = parent[key] ?? {};
    if (typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date)) return { ...value };
    throw invalid(this.#path, `${prefix}${key}`, 'expected a table');
  }

  optional<Name extends string, T>(
    table: Table,
    key: string,
    prefix: string,
    name: Name,
    is: (value: unknown) => value is T,
    expected: string,
  ): Partial<Record<Name, T>> {
    const value = table[key];
    if (value === undefined) return {};
    if (!is(value)) throw invalid(this.#path, `${prefix}${key}`, `expected ${expected}`);
    return { [name]: value } as Record<Name, T>;
  }

  lists(table: Table, prefix: string): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(
      Object.entries(table).map(([key, value]) => {
        if (!isTextList(value)) throw invalid(this.#path, `${prefix}${key}`, 'expected a list of hosts');
        return [key, value];
      }),
    );
  }
}
