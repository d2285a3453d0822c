/** Makes hearth a server of a client: one entry of its configuration, and nothing else of it. */
import { HearthError } from '../errors/index.js';
import { CLIENTS, type ClientName, type ClientPlace, type ConfigScope } from './clients.js';
import { changeConfigFile, readConfigFile } from './config-file.js';
import {
  type ConfigObject,
  objectAt,
  objectText,
  parseConfigText,
  sameContent,
  withObject,
} from './config-text.js';
import { type Launch, type Launcher, launchOf } from './launch.js';

export interface InstallOptions extends ClientPlace {
  readonly scope: ConfigScope;
  /** What the client calls the server. */
  readonly entryName: string;
  readonly launcher: Launcher;
  /** The words after `mcp`. */
  readonly options: readonly string[];
  /** Changes nothing. */
  readonly dryRun: boolean;
}

export interface InstallResult {
  readonly path: string;
  /** Whether the file differs, or with `dryRun` would differ, from before. */
  readonly changed: boolean;
  /** What was there before. */
  readonly backup: string | undefined;
}

/** @throws {HearthError} `CONFIG_INVALID`, `CONFIG_BUSY`, `USAGE_INVALID`. */
export async function installEntry(name: ClientName, options: InstallOptions): Promise<InstallResult> {
  const path = configPath(name, options);
  const edit = async (text: string): Promise<string> => await withEntry(name, path, text, options);
  if (options.dryRun) {
    const { text } = await readConfigFile(path);
    return { path, changed: (await edit(text)) !== text, backup: undefined };
  }
  return { path, ...(await changeConfigFile(path, edit)) };
}

/** A configuration with this entry alone, to be put in by hand. */
export async function printableConfig(
  name: ClientName,
  { launcher, options, entryName }: Pick<InstallOptions, 'launcher' | 'options' | 'entryName'>,
): Promise<string> {
  const client = CLIENTS[name];
  const entry = client.entry(launchOf(launcher, options));
  return await objectText(client.format, [...client.parents({}), entryName], entry);
}

/** @throws {HearthError} `USAGE_INVALID` where the client has no such configuration. */
export function configPath(name: ClientName, options: ClientPlace & { readonly scope: ConfigScope }): string {
  const { title, path } = CLIENTS[name];
  const found = path(options.scope, options);
  if (found !== undefined) return found;
  throw new HearthError('USAGE_INVALID', `${title} has no configuration of a project`, {
    hint: 'Leave out --scope project.',
    details: { client: name, scope: options.scope },
  });
}

/** The entry of a configuration; undefined when it has none. */
export async function findEntry(
  name: ClientName,
  path: string,
  text: string,
  entryName: string,
): Promise<ConfigObject | undefined> {
  const { format, parents } = CLIENTS[name];
  const document = await parseConfigText(text, format, path);
  return objectAt(document, [...parents(document), entryName], path);
}

/** What an entry has to be: our fields as they should be, the user's as they are. */
export function mergedEntry(
  name: ClientName,
  launch: Launch,
  current: ConfigObject | undefined,
): ConfigObject {
  const { entry: entryOf, launch: read } = CLIENTS[name];
  const kept = current === undefined ? {} : (read(current)?.env ?? {});
  return { ...current, ...entryOf({ ...launch, env: { ...kept, ...launch.env } }) };
}

async function withEntry(
  name: ClientName,
  path: string,
  text: string,
  { launcher, options, entryName }: InstallOptions,
): Promise<string> {
  const { format, parents } = CLIENTS[name];
  const current = await findEntry(name, path, text, entryName);
  const entry = mergedEntry(name, launchOf(launcher, options), current);
  if (current !== undefined && sameContent(current, entry)) return text;
  const document = await parseConfigText(text, format, path);
  return await withObject(text, format, [...parents(document), entryName], entry, path);
}
