/** The options that say what kind of VM it is to be, for every command that starts one. */
import { MIB, parseSize } from '../bytes/index.js';
import { loadConfig } from '../config/index.js';
import { HearthError } from '../errors/index.js';
import { parseAcceleratorWish } from '../sandboxes/index.js';
import type { AcceleratorWish } from '../vmm/index.js';
import type { CommandContext, OptionSpec, ParsedArguments } from './command.js';

export const MACHINE_OPTIONS = {
  cpus: { type: 'string', short: 'c', value: 'N', help: 'Virtual processors (default 1)' },
  memory: { type: 'string', short: 'm', value: 'SIZE', help: 'Memory of the VM (default 512M)' },
  disk: { type: 'string', value: 'SIZE', help: 'Grow the disk of the VM to this size' },
  accel: { type: 'string', value: 'MODE', help: 'auto, kvm or tcg (default auto)' },
} as const satisfies Record<string, OptionSpec>;

export interface MachineWishes {
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskBytes: number | undefined;
  readonly accelerator: AcceleratorWish;
}

const MAX_CPUS = 64;
const DEFAULT_MEMORY = '512M';

/** Reads {@link MACHINE_OPTIONS}, with the defaults of the user's configuration. */
export async function machineWishes(args: ParsedArguments, context: CommandContext): Promise<MachineWishes> {
  return await wishesOf((name) => args.text(name), context);
}

/** What is meant when none of {@link MACHINE_OPTIONS} is given. */
export async function defaultMachineWishes(context: CommandContext): Promise<MachineWishes> {
  return await wishesOf(() => undefined, context);
}

async function wishesOf(
  given: (name: keyof typeof MACHINE_OPTIONS) => string | undefined,
  { paths }: CommandContext,
): Promise<MachineWishes> {
  const { run: defaults } = await loadConfig(paths);
  const disk = given('disk');
  return {
    cpus: wholeNumber('cpus', given('cpus') ?? String(defaults.cpus ?? 1), 1, MAX_CPUS),
    memoryMib: Math.floor(parseSize(given('memory') ?? defaults.memory ?? DEFAULT_MEMORY) / MIB),
    diskBytes: disk === undefined ? undefined : parseSize(disk),
    accelerator: parseAcceleratorWish(given('accel') ?? defaults.accel ?? 'auto'),
  };
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new HearthError(
    'USAGE_INVALID',
    `--${option} is ${JSON.stringify(text.slice(0, 64))}, expected ${least} to ${most}`,
    {
      hint: `Give a whole number, for example --${option} 2.`,
      details: { option, value: text.slice(0, 64), least, most },
    },
  );
}
