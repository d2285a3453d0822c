/** What a client starts: a program of the host with its words and variables. */
import { realpathSync } from 'node:fs';
import process from 'node:process';

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The part of a launch that does not depend on what the server is told. */
export interface Launcher {
  /** The words before `mcp`: absolute paths, because clients have another PATH than shells. */
  readonly program: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
}

const SERVE = 'mcp';

/**
 * This installation: the Node that runs it and its script.
 *
 * @param env HEARTH_HOME is handed down, so that the client's sandboxes are the user's.
 */
export function ownProgram(env: Readonly<Record<string, string | undefined>>): Launcher {
  const { HEARTH_HOME: home } = env;
  const script = process.argv[1] ?? '';
  return {
    program: [process.execPath, realpathSync(script)],
    env: home === undefined ? {} : { HEARTH_HOME: home },
  };
}

export function launchOf(
  { program: [command, ...words], env }: Launcher,
  options: readonly string[],
): Launch {
  return { command, args: [...words, SERVE, ...options], env };
}

/** The program and the options of a launch; undefined when it does not start this server. */
export function splitLaunch({
  command,
  args,
}: Launch):
  | { readonly program: readonly [string, ...string[]]; readonly options: readonly string[] }
  | undefined {
  const at = args.slice(0, 2).indexOf(SERVE);
  return at < 0 ? undefined : { program: [command, ...args.slice(0, at)], options: args.slice(at + 1) };
}
