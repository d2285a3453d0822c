/** `hearth run`: a command in a fresh microVM, gone afterwards. */
import { readFile } from 'node:fs/promises';
import type { GuestProcess, TerminalSize } from '../../agent/index.js';
import { parseDuration } from '../../bytes/index.js';
import type { Environment } from '../../environments/index.js';
import { fileError, HearthError } from '../../errors/index.js';
import type { EgressEvent, EgressPolicy } from '../../network/index.js';
import {
  chooseAccelerator,
  egressPolicyFor,
  parseEnvFile,
  parseEnvWords,
  type RunOptions,
  type RunOutcome,
  type RunSpec,
  type RunStreams,
  resolveGuestCommand,
  runOnce,
  type Secret,
} from '../../sandboxes/index.js';
import type { AcceleratorDecision } from '../../vmm/index.js';
import { CaptureStream } from '../capture.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { environmentPhase } from '../environment-phase.js';
import { environments } from '../environments.js';
import { Interrupted, withInterrupt } from '../interrupt.js';
import {
  boundedOutputs,
  failureOf,
  jsonOutputBytes,
  OUTPUT_OPTION,
  PIDS_OPTION,
  readPidsLimit,
} from '../limit-options.js';
import { MACHINE_OPTIONS, type MachineWishes, machineWishes } from '../machine-options.js';
import { NETWORK_OPTIONS, readNetwork } from '../network-options.js';
import { EXIT_INTERRUPTED, formatError } from '../print-error.js';
import type { Progress } from '../progress.js';
import { readSecrets, SECRET_OPTIONS } from '../secret-options.js';
import { COLD_OPTION, JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';
import { styleFor } from '../terminal.js';

const HEARTH_FAILED = 125;
const MAX_JSON_EGRESS_EVENTS = 1000;

export const run: Command = {
  name: 'run',
  summary: 'Run a command in a fresh microVM; it is pulled first when it is not installed',
  usage: '[OPTIONS] IMAGE [--] [COMMAND] [ARG...]',
  options: {
    interactive: { type: 'boolean', short: 'i', help: 'Pass stdin to the command' },
    tty: { type: 'boolean', short: 't', help: 'Give the command a terminal' },
    env: { type: 'string', short: 'e', multiple: true, value: 'NAME=VALUE', help: 'Set a variable' },
    'env-file': { type: 'string', multiple: true, value: 'FILE', help: 'Read variables from a file' },
    workdir: { type: 'string', short: 'w', value: 'DIR', help: 'Directory of the command in the guest' },
    user: { type: 'string', short: 'u', value: 'USER[:GROUP]', help: 'User of the command in the guest' },
    entrypoint: { type: 'string', value: 'COMMAND', help: "Replace the image's entrypoint; '' for none" },
    timeout: { type: 'string', value: 'DURATION', help: 'End the command after this long, exit 124' },
    ...MACHINE_OPTIONS,
    ...PIDS_OPTION,
    ...OUTPUT_OPTION,
    platform: { type: 'string', value: 'OS/ARCH', help: 'Platform of the image (default linux/amd64)' },
    ...NETWORK_OPTIONS,
    ...SECRET_OPTIONS,
    ...COLD_OPTION,
    offline: { type: 'boolean', help: 'Never touch the network' },
    rm: { type: 'boolean', help: 'Accepted for the habit: the VM is always removed' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 1, most: 1 },
  passesRest: true,
  failureExitCode: HEARTH_FAILED,
  examples: [
    'hearth run debian:12 -- git --version',
    'hearth run -i --timeout 30s debian:12 sh < script.sh',
    'hearth run --cpus 2 --memory 1G --disk 8G ghcr.io/some/org/builder:v2 make test',
  ],
  async run(args, context) {
    const progress = progressFor(args, context, 'none');
    const read = await readOptions(args, context);
    try {
      return await withInterrupt((signal) => execute(args, context, read, progress, signal));
    } catch (error) {
      if (error instanceof Interrupted) return EXIT_INTERRUPTED;
      throw error;
    } finally {
      progress.finish();
    }
  },
};

interface RunWishes extends MachineWishes {
  readonly image: string;
  readonly env: ReadonlyMap<string, string>;
  readonly timeoutMs: number | undefined;
  readonly pidsLimit: number | undefined;
  readonly terminal: TerminalSize | undefined;
  readonly egress: EgressPolicy | undefined;
  readonly secrets: readonly Secret[];
}

/** Everything that can be wrong with the words, before anything is started. */
async function readOptions(args: ParsedArguments, context: CommandContext): Promise<RunWishes> {
  const env = new Map<string, string>();
  for (const path of args.list('env-file')) {
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw fileError(error, path);
    });
    for (const [name, value] of parseEnvFile(text, context.env)) env.set(name, value);
  }
  for (const [name, value] of parseEnvWords(args.list('env'), context.env)) env.set(name, value);
  const timeout = args.text('timeout');
  return {
    ...(await machineWishes(args, context)),
    image: args.positionals[0] ?? '',
    env,
    timeoutMs: timeout === undefined ? undefined : parseDuration(timeout),
    pidsLimit: readPidsLimit(args),
    terminal: args.flag('tty') ? terminalSize(context) : undefined,
    egress: await egressPolicyFor(readNetwork(args)),
    secrets: await readSecrets(args, context),
  };
}

function terminalSize({ stdin, stdout }: CommandContext): TerminalSize {
  if (stdin.isTTY !== true || stdout.isTTY !== true) {
    throw new HearthError('USAGE_INVALID', 'there is no terminal to give to the command', {
      hint: 'Leave out -t, or run hearth from a terminal.',
    });
  }
  return { columns: stdout.columns, rows: stdout.rows };
}

async function execute(
  args: ParsedArguments,
  context: CommandContext,
  wishes: RunWishes,
  progress: Progress,
  signal: AbortSignal,
): Promise<number> {
  const startedAt = performance.now();
  const store = await environments(context, args.flag('offline'));
  const platform = args.text('platform');
  const environment = await store.ensureInstalled(wishes.image, {
    signal,
    onProgress: environmentPhase(progress),
    ...(platform === undefined ? {} : { platform }),
  });
  const entrypoint = args.text('entrypoint');
  const workdir = args.text('workdir');
  const user = args.text('user');
  const command = resolveGuestCommand(environment.imageConfig, {
    command: args.rest,
    env: wishes.env,
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(workdir === undefined ? {} : { workdir }),
    ...(user === undefined ? {} : { user }),
  });
  const { paths } = context;
  const decision = await chooseAccelerator(wishes.accelerator, environment, { paths, signal });
  if (wishes.accelerator === 'auto' && decision.accelerator === 'tcg') {
    progress.note(`running under emulation: ${decision.reason}`);
  }
  const resolvedAt = performance.now();

  const spec: RunSpec = {
    environment,
    command,
    cpus: wishes.cpus,
    memoryMib: wishes.memoryMib,
    accelerator: decision.accelerator,
    ...(wishes.diskBytes === undefined ? {} : { diskBytes: wishes.diskBytes }),
    ...(wishes.timeoutMs === undefined ? {} : { timeoutMs: wishes.timeoutMs }),
    ...(wishes.pidsLimit === undefined ? {} : { pidsLimit: wishes.pidsLimit }),
    ...(wishes.terminal === undefined ? {} : { terminal: wishes.terminal }),
    ...(wishes.egress === undefined ? {} : { egress: wishes.egress }),
    ...(args.text('net') === 'full' ? { networkDevice: true } : {}),
    ...(wishes.secrets.length === 0
      ? {}
      : { secrets: new Map(wishes.secrets.map(({ name, value }) => [name, value])) }),
  };
  let fallback: HearthError | undefined;
  const options: RunOptions = {
    paths,
    signal,
    start: args.flag('cold') ? 'cold' : 'warm',
    onFallback: (error) => {
      fallback = error;
      progress.note(`booting instead of resuming: ${error.code}: ${error.message}`);
    },
    onPhase: (phase) => {
      if (phase === 'exec') progress.finish();
      else if (phase !== 'ready' && phase !== 'stop') progress.update('run', environment.name, { phase });
    },
  };
  const resolveMs = Math.round(resolvedAt - startedAt);
  if (args.flag('json'))
    return await runForJson(args, context, spec, options, {
      environment,
      decision,
      resolveMs,
      fallback: () => fallback,
    });
  return await runForPeople(args, context, spec, options);
}

async function runForPeople(
  args: ParsedArguments,
  context: CommandContext,
  spec: RunSpec,
  options: RunOptions,
): Promise<number> {
  const { stdin, stdout, stderr } = context;
  const takesInput = args.flag('interactive') || spec.terminal !== undefined;
  const outputs = boundedOutputs(args, { stdout, stderr });
  const streams: RunStreams = {
    stdout: outputs.stdout,
    stderr: outputs.stderr,
    ...(takesInput ? { stdin } : {}),
  };
  const restore: Array<() => void> = [];
  try {
    const outcome = await runOnce(spec, streams, {
      ...options,
      onStarted: (guest) => {
        if (spec.terminal !== undefined) restore.push(attachTerminal(context, guest));
      },
    });
    outputs.tellDropped();
    const failure = failureOf(outcome);
    if (failure !== undefined) {
      stderr.write(formatError(failure, styleFor(stderr, context.env), args.flag('verbose')));
    }
    return outcome.exitCode;
  } finally {
    for (const undo of restore) undo();
    stdin.pause();
    stdin.unref?.();
  }
}

/** Raw mode and sizes for as long as the command has the terminal. Returns what undoes it. */
function attachTerminal({ stdin, stdout }: CommandContext, guest: GuestProcess): () => void {
  const onResize = (): void => guest.resize({ columns: stdout.columns, rows: stdout.rows });
  stdin.setRawMode(true);
  stdout.on('resize', onResize);
  return () => {
    stdin.setRawMode(false);
    stdout.off('resize', onResize);
  };
}

interface Resolved {
  readonly environment: Environment;
  readonly decision: AcceleratorDecision;
  readonly resolveMs: number;
  /** Why it booted although it should have been resumed. */
  readonly fallback: () => HearthError | undefined;
}

async function runForJson(
  args: ParsedArguments,
  context: CommandContext,
  spec: RunSpec,
  options: RunOptions,
  resolved: Resolved,
): Promise<number> {
  const limitBytes = jsonOutputBytes(args);
  const stdout = new CaptureStream(limitBytes);
  const stderr = new CaptureStream(limitBytes);
  const streams = { stdout, stderr, ...(args.flag('interactive') ? { stdin: context.stdin } : {}) };
  const egress: EgressEvent[] = [];
  const outcome = await runOnce(spec, streams, {
    ...options,
    onEgress: (event) => {
      if (egress.length < MAX_JSON_EGRESS_EVENTS) egress.push(event);
    },
  });
  printJson(context, {
    ...document(outcome, stdout, stderr, resolved),
    ...(spec.egress === undefined ? {} : { egress }),
  });
  return outcome.exitCode;
}

function document(
  outcome: RunOutcome,
  stdout: CaptureStream,
  stderr: CaptureStream,
  { environment, decision, resolveMs, fallback }: Resolved,
): Record<string, unknown> {
  const { exitCode, signal, timedOut, oomKilled, start, snapshot, durationsMs } = outcome;
  const failure = failureOf(outcome);
  const [out, err] = [stdout.encoded(), stderr.encoded()];
  return {
    exitCode,
    signal: signal ?? null,
    timedOut,
    oomKilled,
    stdout: out.text,
    stdoutEncoding: out.encoding,
    stdoutBytes: stdout.totalBytes,
    stderr: err.text,
    stderrEncoding: err.encoding,
    stderrBytes: stderr.totalBytes,
    truncated: stdout.truncated || stderr.truncated,
    ...(failure === undefined ? {} : { error: failure.toJSON() }),
    environment: environment.name,
    source: environment.source,
    accelerator: decision.accelerator,
    acceleratorReason: decision.reason,
    start,
    snapshot: snapshot ?? null,
    fallback: fallback()?.toJSON() ?? null,
    durationsMs: { resolve: resolveMs, ...durationsMs },
  };
}
