/** Commands that change the state of the sandboxes they name, one after the other. */
import { parseDuration } from '../../bytes/index.js';
import type { Service } from '../../contract/index.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { Interrupted, withInterrupt } from '../interrupt.js';
import { asHearthError, exitCodeOf, formatError } from '../print-error.js';
import { openService, sandboxPhase } from '../service.js';
import { COLD_OPTION, PROGRESS_OPTIONS, progressFor } from '../shared-options.js';
import { styleFor } from '../terminal.js';

const MOST_SANDBOXES = 1000;
const SANDBOXES = { least: 1, most: MOST_SANDBOXES };

/**
 * Does it to each, and prints the name of each that it was done to. One that fails does not keep the others
 * from it; the exit code is that of the first failure.
 */
async function forEach(
  args: ParsedArguments,
  context: CommandContext,
  body: (service: Service, sandbox: string, signal: AbortSignal) => Promise<string>,
): Promise<number> {
  const { stdout, stderr, env } = context;
  return await withInterrupt(async (signal) => {
    const service = await openService(context, { signal });
    let exitCode = 0;
    for (const reference of args.positionals) {
      try {
        stdout.write(`${await body(service, reference, signal)}\n`);
      } catch (error) {
        if (error instanceof Interrupted) throw error;
        const coded = asHearthError(error);
        stderr.write(formatError(coded, styleFor(stderr, env), args.flag('verbose')));
        exitCode = exitCode === 0 ? exitCodeOf(coded) : exitCode;
      }
    }
    return exitCode;
  });
}

export const start: Command = {
  name: 'start',
  summary: 'Start sandboxes',
  usage: '[OPTIONS] SANDBOX [SANDBOX...]',
  options: { ...COLD_OPTION, ...PROGRESS_OPTIONS },
  positionals: SANDBOXES,
  async run(args, context) {
    const progress = progressFor(args, context, 'none');
    const onProgress = sandboxPhase(progress, 'start');
    const cold = args.flag('cold');
    return await forEach(args, context, async (service, sandbox, signal) => {
      const answer = service.call('sandbox.start', { sandbox, cold }, { signal, onProgress });
      return (await answer.finally(() => progress.finish())).sandbox.name;
    });
  },
};

export const reset: Command = {
  name: 'reset',
  summary: 'Give sandboxes back their first disks; what they have written is gone',
  usage: '[OPTIONS] SANDBOX [SANDBOX...]',
  options: { ...COLD_OPTION, ...PROGRESS_OPTIONS },
  positionals: SANDBOXES,
  examples: ['hearth reset dev'],
  async run(args, context) {
    const progress = progressFor(args, context, 'none');
    const onProgress = sandboxPhase(progress, 'reset');
    const cold = args.flag('cold');
    return await forEach(args, context, async (service, sandbox, signal) => {
      const answer = service.call('sandbox.reset', { sandbox, cold }, { signal, onProgress });
      return (await answer.finally(() => progress.finish())).sandbox.name;
    });
  },
};

export const stop: Command = {
  name: 'stop',
  summary: 'Shut sandboxes down; their disks stay',
  usage: '[--time DURATION] SANDBOX [SANDBOX...]',
  options: {
    time: {
      type: 'string',
      short: 't',
      value: 'DURATION',
      help: 'How long its processes may take to end (default 10s)',
    },
  },
  positionals: SANDBOXES,
  async run(args, context) {
    const time = args.text('time');
    const grace = time === undefined ? {} : { graceMs: parseDuration(time) };
    return await forEach(
      args,
      context,
      async (service, sandbox) => (await service.call('sandbox.stop', { sandbox, ...grace })).sandbox.name,
    );
  },
};

export const kill: Command = {
  name: 'kill',
  summary: 'End the VMs of sandboxes at once; their disks stay',
  usage: 'SANDBOX [SANDBOX...]',
  options: {},
  positionals: SANDBOXES,
  run: async (args, context) =>
    await forEach(
      args,
      context,
      async (service, sandbox) => (await service.call('sandbox.kill', { sandbox })).sandbox.name,
    ),
};

export const rm: Command = {
  name: 'rm',
  summary: 'Remove sandboxes and their disks',
  usage: '[--force] SANDBOX [SANDBOX...]',
  options: { force: { type: 'boolean', short: 'f', help: 'Remove running ones too' } },
  positionals: SANDBOXES,
  run: async (args, context) =>
    await forEach(
      args,
      context,
      async (service, sandbox) =>
        (await service.call('sandbox.remove', { sandbox, force: args.flag('force') })).name,
    ),
};

export const pause: Command = {
  name: 'pause',
  summary: 'Let the processors of sandboxes stand still',
  usage: 'SANDBOX [SANDBOX...]',
  options: {},
  positionals: SANDBOXES,
  run: async (args, context) =>
    await forEach(
      args,
      context,
      async (service, sandbox) => (await service.call('sandbox.pause', { sandbox })).sandbox.name,
    ),
};

export const resume: Command = {
  name: 'resume',
  summary: 'Let paused sandboxes go on',
  usage: 'SANDBOX [SANDBOX...]',
  options: {},
  positionals: SANDBOXES,
  run: async (args, context) =>
    await forEach(
      args,
      context,
      async (service, sandbox) => (await service.call('sandbox.resume', { sandbox })).sandbox.name,
    ),
};
