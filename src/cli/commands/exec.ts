/** `hearth exec` and `hearth shell`: commands in a sandbox that runs. */
import type { ExecExit, GuestProcess } from '../../agent/index.js';
import { MIB, parseDuration } from '../../bytes/index.js';
import type { Service } from '../../contract/index.js';
import { HearthError } from '../../errors/index.js';
import { CaptureStream } from '../capture.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from '../detach-keys.js';
import { followGuest } from '../guest-session.js';
import { boundedOutputs, failureOf, jsonOutputBytes, OUTPUT_OPTION } from '../limit-options.js';
import { formatError } from '../print-error.js';
import { ENV_OPTIONS, given, readVariables } from '../sandbox-options.js';
import { readSecretEnv, SECRET_ENV_OPTION } from '../secret-options.js';
import { openService } from '../service.js';
import { JSON_OPTION, printJson } from '../shared-options.js';
import { styleFor } from '../terminal.js';

const HEARTH_FAILED = 125;
/** Kept of each of stdout and stderr of a detached command. */
const RING_BYTES = MIB;

const DETACH_OPTION = {
  'detach-keys': {
    type: 'string',
    value: 'KEYS',
    help: `Keys that leave a terminal, '' for none (default ${DEFAULT_DETACH_KEYS})`,
  },
} as const;

export const exec: Command = {
  name: 'exec',
  summary: 'Run a command in a running sandbox',
  usage: '[OPTIONS] SANDBOX [--] COMMAND [ARG...]',
  options: {
    interactive: { type: 'boolean', short: 'i', help: 'Pass stdin to the command' },
    tty: { type: 'boolean', short: 't', help: 'Give the command a terminal' },
    detach: { type: 'boolean', short: 'd', help: 'Leave it running and print its number' },
    attach: { type: 'string', value: 'ID', help: 'Take up a detached command instead of starting one' },
    ...ENV_OPTIONS,
    ...SECRET_ENV_OPTION,
    timeout: { type: 'string', value: 'DURATION', help: 'End the command after this long, exit 124' },
    ...OUTPUT_OPTION,
    ...DETACH_OPTION,
    ...JSON_OPTION,
  },
  positionals: { least: 1, most: 1 },
  passesRest: true,
  failureExitCode: HEARTH_FAILED,
  examples: [
    'hearth exec dev -- git --version',
    'hearth exec -i dev sh < script.sh',
    'hearth exec -it dev bash',
    'hearth exec --attach 7 dev',
  ],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const attach = args.text('attach');
    if (attach !== undefined) return await takeUp(args, context, sandbox, attach);
    const env = await readVariables(args, context);
    const timeout = args.text('timeout');
    const isTerminal = args.flag('tty');
    const isDetached = args.flag('detach') || isTerminal;
    const input = {
      sandbox,
      argv: commandWords(args),
      env: isTerminal ? withTerm(env, context) : env,
      ...readSecretEnv(args),
      stdin: args.flag('interactive') && !args.flag('detach'),
      ...(isDetached ? { detached: { ringBytes: RING_BYTES } } : {}),
      ...given({
        workdir: args.text('workdir'),
        user: args.text('user'),
        timeoutMs: timeout === undefined ? undefined : parseDuration(timeout),
        terminal: isTerminal ? terminalSize(context) : undefined,
      }),
    };
    const keys = parseDetachKeys(args.text('detach-keys') ?? DEFAULT_DETACH_KEYS);
    const service = await openService(context);
    const guest = await service.process('exec.start', input);
    if (args.flag('detach')) return await leave(args, context, guest);
    if (args.flag('json')) return await reportJson(args, context, guest, sandbox);
    return await follow(args, context, guest, { sandbox, isTerminal, keys });
  },
};

export const shell: Command = {
  name: 'shell',
  summary: 'Open a login shell in a running sandbox',
  usage: '[OPTIONS] SANDBOX',
  options: { ...ENV_OPTIONS, ...SECRET_ENV_OPTION, ...DETACH_OPTION },
  positionals: { least: 1, most: 1 },
  failureExitCode: HEARTH_FAILED,
  examples: ['hearth shell dev'],
  async run(args, context) {
    const [sandbox = ''] = args.positionals;
    const keys = parseDetachKeys(args.text('detach-keys') ?? DEFAULT_DETACH_KEYS);
    const isTerminal = context.stdin.isTTY === true && context.stdout.isTTY === true;
    const env = await readVariables(args, context);
    const service = await openService(context);
    const guest = await service.process('exec.start', {
      sandbox,
      argv: ['/bin/sh', '-c', 'command -v bash >/dev/null && exec bash -l; exec sh -l'],
      env: isTerminal ? withTerm(env, context) : env,
      ...readSecretEnv(args),
      stdin: true,
      ...given({
        workdir: args.text('workdir'),
        user: args.text('user'),
        terminal: isTerminal ? terminalSize(context) : undefined,
        detached: isTerminal ? { ringBytes: RING_BYTES } : undefined,
      }),
    });
    return await follow(args, context, guest, { sandbox, isTerminal, keys, takesInput: true });
  },
};

/** Takes up a detached command where its kept output begins. */
async function takeUp(
  args: ParsedArguments,
  context: CommandContext,
  sandbox: string,
  id: string,
): Promise<number> {
  if (args.rest.length > 0 || !/^\d{1,15}$/.test(id)) {
    throw new HearthError(
      'USAGE_INVALID',
      '--attach takes the number of a command, and no command beside it',
      {
        hint: 'Type `hearth exec --attach ID SANDBOX`; `hearth inspect SANDBOX` lists the commands.',
        details: { attach: id.slice(0, 32) },
      },
    );
  }
  const execId = Number(id);
  const keys = parseDetachKeys(args.text('detach-keys') ?? DEFAULT_DETACH_KEYS);
  const service = await openService(context);
  const isTerminal = await hasTerminal(service, sandbox, execId, context);
  const stdin = isTerminal || args.flag('interactive');
  const guest = await service.process('exec.attach', { sandbox, execId, stdin });
  if (isTerminal) guest.resize(terminalSize(context));
  return await follow(args, context, guest, { sandbox, isTerminal, keys, takesInput: stdin });
}

async function hasTerminal(
  service: Service,
  sandbox: string,
  execId: number,
  { stdin, stdout }: CommandContext,
): Promise<boolean> {
  if (stdin.isTTY !== true || stdout.isTTY !== true) return false;
  const { execs } = await service.call('sandbox.inspect', { sandbox });
  return execs.some((one) => one.execId === execId && one.tty);
}

function commandWords({ rest }: ParsedArguments): string[] {
  if (rest.length > 0) return [...rest];
  throw new HearthError('USAGE_INVALID', 'no command given', {
    hint: 'Write it after the sandbox: hearth exec dev -- ls /',
  });
}

/** What draws on the terminal has to know which it is. */
function withTerm(env: Readonly<Record<string, string>>, context: CommandContext): Record<string, string> {
  return { TERM: context.env.TERM ?? 'xterm', ...env };
}

function terminalSize({ stdin, stdout }: CommandContext): { columns: number; rows: number } {
  if (stdin.isTTY !== true || stdout.isTTY !== true) {
    throw new HearthError('USAGE_INVALID', 'there is no terminal to give to the command', {
      hint: 'Leave out -t, or run hearth from a terminal.',
    });
  }
  // Some terminals do not know their size and say 0.
  return { columns: stdout.columns || 80, rows: stdout.rows || 24 };
}

async function leave(args: ParsedArguments, context: CommandContext, guest: GuestProcess): Promise<number> {
  const { execId, pid } = await started(guest);
  guest.abandon(new Error('it was detached'));
  if (args.flag('json')) printJson(context, { execId, pid });
  else context.stdout.write(`${execId}\n`);
  return 0;
}

/** A command that is not there ends before it has started; why is in its end. */
async function started(guest: GuestProcess): ReturnType<() => GuestProcess['started']> {
  try {
    return await guest.started;
  } catch (error) {
    const exit = await guest.exited.catch(() => undefined);
    throw exit?.failure ?? error;
  }
}

interface FollowOptions {
  readonly sandbox: string;
  readonly isTerminal: boolean;
  readonly keys: Buffer;
  readonly takesInput?: boolean;
}

async function follow(
  args: ParsedArguments,
  context: CommandContext,
  guest: GuestProcess,
  { sandbox, isTerminal, keys, takesInput = isTerminal || args.flag('interactive') }: FollowOptions,
): Promise<number> {
  const execId = guest.started.then(
    (start) => start.execId,
    () => undefined,
  );
  const outputs = boundedOutputs(args, context);
  const exit = await followGuest(context, guest, {
    stdin: takesInput,
    terminal: isTerminal ? { detachKeys: keys } : undefined,
    stdout: outputs.stdout,
    stderr: outputs.stderr,
  });
  if (exit === undefined) {
    context.stderr.write(`\r\ndetached; take it up again: hearth exec --attach ${await execId} ${sandbox}\n`);
    return 0;
  }
  outputs.tellDropped();
  tellFailure(args, context, exit);
  return exit.exitCode;
}

function tellFailure(args: ParsedArguments, { stderr, env }: CommandContext, exit: ExecExit): void {
  const error = failureOf(exit);
  if (error !== undefined) stderr.write(formatError(error, styleFor(stderr, env), args.flag('verbose')));
}

async function reportJson(
  args: ParsedArguments,
  context: CommandContext,
  guest: GuestProcess,
  sandbox: string,
): Promise<number> {
  const limitBytes = jsonOutputBytes(args);
  const stdout = new CaptureStream(limitBytes);
  const stderr = new CaptureStream(limitBytes);
  const exit = await followGuest(context, guest, { stdin: args.flag('interactive'), stdout, stderr });
  if (exit === undefined) return 0;
  const [out, err] = [stdout.encoded(), stderr.encoded()];
  const failure = failureOf(exit);
  printJson(context, {
    sandbox,
    exitCode: exit.exitCode,
    signal: exit.signal ?? null,
    timedOut: exit.timedOut,
    oomKilled: exit.oomKilled,
    stdout: out.text,
    stdoutEncoding: out.encoding,
    stdoutBytes: stdout.totalBytes,
    stderr: err.text,
    stderrEncoding: err.encoding,
    stderrBytes: stderr.totalBytes,
    truncated: stdout.truncated || stderr.truncated,
    ...(failure === undefined ? {} : { error: failure.toJSON() }),
    runtimeUs: exit.runtimeUs,
  });
  return exit.exitCode;
}
