/** From the words on the command line to an exit code. */
import { hearthPaths } from '../fsx/index.js';
import { type Command, type CommandContext, parseArguments } from './command.js';
import { COMMAND_GROUPS, HIDDEN_COMMANDS } from './commands.js';
import { findCommand } from './find-command.js';
import { commandHelp, overview } from './help.js';
import { nearest } from './nearest.js';
import { asHearthError, exitCodeOf, formatError } from './print-error.js';
import { styleFor } from './terminal.js';

interface CliProcess {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

const USAGE_EXIT_CODE = 2;

/** Runs one command line; the result is the exit code. Never throws. */
export async function runCli(
  words: readonly string[],
  { env, stdin, stdout, stderr }: CliProcess,
): Promise<number> {
  if (words.length === 0 || words[0] === 'help' || words[0] === '--help' || words[0] === '-h') {
    const topic = findCommand(words.slice(1), COMMAND_GROUPS);
    stdout.write(topic === undefined ? overview(COMMAND_GROUPS) : commandHelp(await topic.entry.load()));
    return 0;
  }
  const found = findCommand(words, [...COMMAND_GROUPS, HIDDEN_COMMANDS]);
  if (found === undefined) {
    stderr.write(unknownCommand(words));
    return USAGE_EXIT_CODE;
  }
  const command = await found.entry.load();
  const ownWords = words.slice(found.wordCount);
  let verbose = false;
  let json = false;
  try {
    const args = parseArguments(command, ownWords);
    if (args.flag('help')) {
      stdout.write(commandHelp(command));
      return 0;
    }
    verbose = args.flag('verbose');
    json = args.flag('json');
    const context: CommandContext = {
      groups: COMMAND_GROUPS,
      env,
      paths: hearthPaths(env),
      stdin,
      stdout,
      stderr,
    };
    return await command.run(args, context);
  } catch (error) {
    const coded = asHearthError(error);
    if (json) stdout.write(`${JSON.stringify({ error: coded.toJSON() }, null, 2)}\n`);
    else stderr.write(formatError(coded, styleFor(stderr, env), verbose));
    return failureExitCode(command, coded);
  }
}

function failureExitCode(command: Command, error: ReturnType<typeof asHearthError>): number {
  return command.failureExitCode ?? exitCodeOf(error);
}

function unknownCommand(words: readonly string[]): string {
  const names = COMMAND_GROUPS.flatMap(({ commands }) => commands.map(({ name }) => name));
  const group = names.filter((name) => name.startsWith(`${words[0]} `));
  const typed = words[0]?.slice(0, 64) ?? '';
  if (group.length > 0) {
    return `error[USAGE_INVALID]: hearth ${typed} needs one of these commands\nhint: Type ${group.map((name) => `\`hearth ${name}\``).join(', ')}.\n`;
  }
  const near = nearest(typed, names);
  const hint =
    near === undefined ? 'Type `hearth --help` for the commands.' : `Did you mean \`hearth ${near}\`?`;
  return `error[USAGE_INVALID]: no command ${JSON.stringify(typed)}\nhint: ${hint}\n`;
}
