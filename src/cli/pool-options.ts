/** The options of `hearth serve` that say which VMs wait for commands. */
import { parseSize } from '../bytes/index.js';
import type { RunDaemonOptions } from '../daemon/index.js';
import { HearthError } from '../errors/index.js';
import { assertPoolFits, parsePoolWish } from '../sandboxes/index.js';
import type { CommandContext, OptionSpec, ParsedArguments } from './command.js';
import { machineWishes } from './machine-options.js';

export const POOL_OPTIONS = {
  pool: {
    type: 'string',
    multiple: true,
    value: 'ENVIRONMENT[=N]',
    help: 'Keep N resumed VMs waiting for `hearth run` (default 1)',
  },
  'pool-memory': {
    type: 'string',
    value: 'SIZE',
    help: 'What all waiting VMs may take (default a quarter of the memory)',
  },
} as const satisfies Record<string, OptionSpec>;

/** The VMs are those that `hearth run ENVIRONMENT` starts without options of its own. */
export async function readPoolOptions(
  args: ParsedArguments,
  context: CommandContext,
): Promise<RunDaemonOptions['pool']> {
  const [words, memory] = [args.list('pool'), args.text('pool-memory')];
  if (words.length === 0) {
    if (memory === undefined) return undefined;
    throw new HearthError('USAGE_INVALID', '--pool-memory without a pool', {
      hint: 'Say what shall wait, for example --pool debian:12=2.',
    });
  }
  const wishes = words.map(parsePoolWish);
  const { cpus, memoryMib, accelerator } = await machineWishes(args, context);
  assertPoolFits(wishes, memoryMib, memory === undefined ? undefined : parseSize(memory));
  const onNote = (message: string): void => void context.stderr.write(`${message}\n`);
  return { wishes, cpus, memoryMib, accelerator, onNote };
}
