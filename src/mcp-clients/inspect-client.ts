/** Whether a client still starts this hearth, and how to put that right. */
import { constants, realpathSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { HearthError } from '../errors/index.js';
import { CLIENTS, type ClientName, type ClientPlace, type ConfigScope } from './clients.js';
import { readConfigFile } from './config-file.js';
import { type ConfigObject, sameContent } from './config-text.js';
import { configPath, findEntry, type InstallResult, installEntry, mergedEntry } from './install-entry.js';
import { type Launch, type Launcher, launchOf, splitLaunch } from './launch.js';

/** absent: no entry; drifted: one that does not start this hearth; unreadable: nobody can tell. */
export type ClientState = 'ok' | 'off' | 'absent' | 'drifted' | 'unreadable';

export interface ClientReport {
  readonly client: ClientName;
  readonly title: string;
  readonly path: string;
  readonly state: ClientState;
  /** What is wrong, one short phrase each. */
  readonly problems: readonly string[];
  /** What the entry tells the server. */
  readonly options: readonly string[];
}

export interface InspectOptions extends ClientPlace {
  readonly scope: ConfigScope;
  readonly entryName: string;
  /** What an entry should start. */
  readonly launcher: Launcher;
  /** Throws when the server would not take these options. */
  readonly checkOptions: (options: readonly string[]) => void;
}

export async function inspectClient(client: ClientName, options: InspectOptions): Promise<ClientReport> {
  const path = configPath(client, options);
  const about = { client, title: CLIENTS[client].title, path, options: [] };
  try {
    const { text } = await readConfigFile(path);
    const entry = await findEntry(client, path, text, options.entryName);
    if (entry === undefined) return { ...about, state: 'absent', problems: [] };
    return { ...about, ...(await inspectEntry(client, entry, options)) };
  } catch (error) {
    if (!HearthError.is(error)) throw error;
    return { ...about, state: 'unreadable', problems: [error.message] };
  }
}

/** Gives a drifted entry what it should start. Options that the server takes stay; others are dropped. */
export async function repairClient(
  report: ClientReport,
  { checkOptions, ...options }: InspectOptions & { readonly dryRun: boolean },
): Promise<InstallResult> {
  const kept = problemOfOptions(report.options, checkOptions) === undefined ? report.options : [];
  return await installEntry(report.client, { ...options, options: kept });
}

async function inspectEntry(
  client: ClientName,
  entry: ConfigObject,
  { launcher, checkOptions, env }: InspectOptions,
): Promise<Pick<ClientReport, 'state' | 'problems' | 'options'>> {
  const launch = CLIENTS[client].launch(entry);
  const split = launch === undefined ? undefined : splitLaunch(launch);
  if (launch === undefined || split === undefined) {
    return { state: 'drifted', problems: ['it does not start `hearth mcp`'], options: [] };
  }
  const { program, options } = split;
  const problems = [
    ...(await problemsOfProgram(program, launcher, env)),
    ...problemsOfHome(launch, launcher),
    ...[problemOfOptions(options, checkOptions)].filter((problem) => problem !== undefined),
  ];
  // The words of the entry may be others that mean the same; everything else has to be as it is written.
  const expected = mergedEntry(client, { ...launchOf(launcher, options), ...launch }, entry);
  if (problems.length === 0 && !sameContent(entry, expected)) {
    problems.push('its fields are not the ones that this client takes');
  }
  const isOff = entry.enabled === false || entry.disabled === true;
  return { state: problems.length > 0 ? 'drifted' : isOff ? 'off' : 'ok', problems, options };
}

async function problemsOfProgram(
  program: readonly [string, ...string[]],
  { program: own }: Launcher,
  env: InspectOptions['env'],
): Promise<string[]> {
  if (isDeepStrictEqual(program, own)) return [];
  const [command, script] = program;
  const found = await findProgram(command, env);
  if (found === undefined) return [`there is no program ${command}`];
  // `hearth` alone, by whatever link, is this one when it leads to the same script.
  const target = script ?? found;
  const ownScript = own[1] ?? own[0];
  try {
    return realpathSync(target) === realpathSync(ownScript) ? [] : [`it starts another program: ${target}`];
  } catch {
    return [`there is no file ${target}`];
  }
}

function problemsOfHome({ env }: Launch, launcher: Launcher): string[] {
  return Object.entries(launcher.env)
    .filter(([name, value]) => env[name] !== value)
    .map(([name, value]) => `it runs with another ${name}: ${env[name] ?? 'none'} instead of ${value}`);
}

function problemOfOptions(
  options: readonly string[],
  check: InspectOptions['checkOptions'],
): string | undefined {
  try {
    check(options);
    return undefined;
  } catch (error) {
    if (HearthError.is(error)) return `its options are refused: ${error.message}`;
    throw error;
  }
}

async function findProgram(command: string, env: InspectOptions['env']): Promise<string | undefined> {
  const places = isAbsolute(command)
    ? [command]
    : (env.PATH ?? '').split(delimiter).map((directory) => join(directory, command));
  for (const place of places) {
    const isThere = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return place;
  }
  return undefined;
}
