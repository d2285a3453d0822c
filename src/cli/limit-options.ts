/** Limits on processes and output, and how a command that ran into the guest's memory is told. */
import type { Writable } from 'node:stream';
import type { ExecExit } from '../agent/index.js';
import { formatSize, MIB, parseSize } from '../bytes/index.js';
import { HearthError } from '../errors/index.js';
import type { OptionSpec, ParsedArguments } from './command.js';
import { OutputLimit } from './output-limit.js';

export const PIDS_OPTION = {
  'pids-limit': {
    type: 'string',
    value: 'N',
    help: 'Most processes in the guest at once (default no limit)',
  },
} as const satisfies Record<string, OptionSpec>;

export const OUTPUT_OPTION = {
  'max-output': {
    type: 'string',
    value: 'SIZE',
    help: 'Keep this much of stdout and of stderr (--json: 8M), drop the rest',
  },
} as const satisfies Record<string, OptionSpec>;

/** Of a guest's kernel. */
const MAX_PIDS = 4_194_304;
const DEFAULT_JSON_BYTES = 8 * MIB;
/** A document has to fit into memory several times over while it is made. */
const MAX_JSON_BYTES = 128 * MIB;

/** @throws {HearthError} `USAGE_INVALID`. */
export function readPidsLimit(args: ParsedArguments): number | undefined {
  const text = args.text('pids-limit');
  if (text === undefined) return undefined;
  const value = /^\d{1,7}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= MAX_PIDS) return value;
  throw new HearthError(
    'USAGE_INVALID',
    `--pids-limit is ${JSON.stringify(text.slice(0, 64))}, expected 1 to ${MAX_PIDS}`,
    {
      hint: 'Give a whole number, for example --pids-limit 256, or leave it out for no limit.',
      details: { value: text.slice(0, 64), least: 1, most: MAX_PIDS },
    },
  );
}

/** Bytes kept of each stream in a `--json` document. @throws {HearthError} `SIZE_INVALID`, `USAGE_INVALID`. */
export function jsonOutputBytes(args: ParsedArguments): number {
  const text = args.text('max-output');
  const bytes = text === undefined ? DEFAULT_JSON_BYTES : parseSize(text);
  if (bytes <= MAX_JSON_BYTES) return bytes;
  throw new HearthError('USAGE_INVALID', `--max-output ${text} is more than one JSON document may hold`, {
    hint: `Give at most ${formatSize(MAX_JSON_BYTES)}, or leave --json out.`,
    details: { bytes, limitBytes: MAX_JSON_BYTES },
  });
}

export interface BoundedOutputs {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Says what was dropped, once the command has ended; nothing when nothing was. */
  tellDropped(): void;
}

/** The two streams themselves, or as much of each as `--max-output` says. @throws {HearthError} `SIZE_INVALID`. */
export function boundedOutputs(
  args: ParsedArguments,
  { stdout, stderr }: { readonly stdout: Writable; readonly stderr: Writable },
): BoundedOutputs {
  const text = args.text('max-output');
  if (text === undefined) return { stdout, stderr, tellDropped: () => {} };
  const limitBytes = parseSize(text);
  const limited = {
    stdout: new OutputLimit(stdout, limitBytes),
    stderr: new OutputLimit(stderr, limitBytes),
  };
  return {
    ...limited,
    tellDropped: () => {
      const dropped = limited.stdout.droppedBytes + limited.stderr.droppedBytes;
      if (dropped > 0)
        stderr.write(`hearth: ${formatSize(dropped)} of output dropped (--max-output ${text})\n`);
    },
  };
}

/** What to tell beside an exit code that alone says too little. */
export function failureOf(exit: ExecExit): HearthError | undefined {
  if (exit.failure !== undefined) return exit.failure;
  if (!exit.oomKilled) return undefined;
  return new HearthError('EXEC_OUT_OF_MEMORY', 'the guest ran out of memory and killed the command', {
    hint: 'Give the VM more memory, for example --memory 1G.',
    details: { maxRssKib: exit.maxRssKib },
  });
}
