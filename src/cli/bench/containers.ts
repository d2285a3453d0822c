/** A container engine beside hearth: the same files, imported from the guest, so that no registry is asked. */
import { spawn } from 'node:child_process';
import { HearthError } from '../../errors/index.js';
import { type Program, timeProgram } from './time-program.js';

export const ENGINES = ['podman', 'docker'] as const;
export type Engine = (typeof ENGINES)[number];

/** @throws {HearthError} `USAGE_INVALID` for another word than those of {@link ENGINES}. */
export function parseEngines(text: string | undefined): Engine[] {
  const words = (text ?? '').split(',').filter((word) => word !== '');
  const unknown = words.find((word) => !ENGINES.some((engine) => engine === word));
  if (unknown !== undefined) {
    throw new HearthError(
      'USAGE_INVALID',
      `no engine ${JSON.stringify(unknown.slice(0, 64))} to compare with`,
      {
        hint: 'Use --compare podman, --compare docker or --compare podman,docker.',
        details: { engine: unknown.slice(0, 64) },
      },
    );
  }
  return ENGINES.filter((engine) => words.includes(engine));
}

export interface ImportedImage extends AsyncDisposable {
  readonly engine: Engine;
  /** Runs `true` in a fresh container. */
  readonly program: Program;
}

interface ImportOptions {
  /** Prints the guest's files as a tar archive. */
  readonly archive: Program;
  /** Of the image to be made. */
  readonly tag: string;
  readonly signal: AbortSignal;
}

const IMPORT_TIMEOUT_MS = 300_000;
const RUN_TIMEOUT_MS = 60_000;

/** As it comes, then as it works where there is no systemd and limits cannot be raised. */
const RUN_VARIANTS: Readonly<Record<Engine, ReadonlyArray<readonly string[]>>> = {
  podman: [
    [],
    [
      ...['--runtime', 'runc', '--cgroup-manager', 'cgroupfs'],
      ...['--ulimit', 'nofile=1024:4096', '--ulimit', 'nproc=4096:4096'],
    ],
  ],
  docker: [[]],
};

/**
 * Imports the files, and finds out how the engine runs them here. Disposing of it removes the image.
 *
 * @throws {HearthError} `TOOL_NOT_FOUND`, `TOOL_FAILED`, `TOOL_TIMEOUT`: why it cannot be compared with.
 */
export async function importImage(
  engine: Engine,
  { archive, tag, signal }: ImportOptions,
): Promise<ImportedImage> {
  await timeProgram({ command: engine, args: ['--version'] }, { signal, timeoutMs: RUN_TIMEOUT_MS });
  const source = spawn(archive.command, archive.args, { stdio: ['ignore', 'pipe', 'ignore'], signal });
  const gone = new Promise<void>((resolve) => {
    source.once('close', () => resolve());
    source.once('error', () => resolve());
  });
  try {
    await timeProgram(
      { command: engine, args: ['import', '-', tag] },
      { signal, timeoutMs: IMPORT_TIMEOUT_MS, input: source.stdout },
    );
  } finally {
    source.kill();
    await gone;
  }
  const remove = async (): Promise<void> => {
    const removal = { command: engine, args: ['rmi', '--force', tag] };
    const whole = { signal: new AbortController().signal, timeoutMs: RUN_TIMEOUT_MS };
    await timeProgram(removal, whole).catch(() => {});
  };
  try {
    return { engine, program: await workingVariant(engine, tag, signal), [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function workingVariant(engine: Engine, tag: string, signal: AbortSignal): Promise<Program> {
  let failure: unknown;
  for (const options of RUN_VARIANTS[engine]) {
    const [global, run] = split(options);
    const program = { command: engine, args: [...global, 'run', '--rm', ...run, tag, 'true'] };
    try {
      await timeProgram(program, { signal, timeoutMs: RUN_TIMEOUT_MS });
      return program;
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

/** Options of the engine stand before its command, those of a container after it. */
function split(options: readonly string[]): [global: readonly string[], run: readonly string[]] {
  const first = options.indexOf('--ulimit');
  return first === -1 ? [options, []] : [options.slice(0, first), options.slice(first)];
}
