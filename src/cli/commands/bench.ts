/** `hearth bench`: how long starts take on this machine, as whole processes. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { formatDuration, formatSize } from '../../bytes/index.js';
import { HearthError } from '../../errors/index.js';
import { type Engine, type ImportedImage, importImage, parseEngines } from '../bench/containers.js';
import { type IdleMemory, measureIdleMemory } from '../bench/idle-memory.js';
import { type Figure, figure, ratio } from '../bench/samples.js';
import { type Program, timeProgram } from '../bench/time-program.js';
import type { Command, CommandContext, ParsedArguments } from '../command.js';
import { environmentPhase } from '../environment-phase.js';
import { environments } from '../environments.js';
import { withInterrupt } from '../interrupt.js';
import { MACHINE_OPTIONS, machineWishes } from '../machine-options.js';
import { prepareEnvironment } from '../prepare-environment.js';
import type { Progress } from '../progress.js';
import { JSON_OPTION, PROGRESS_OPTIONS, printJson, progressFor } from '../shared-options.js';
import { escapeControls, table } from '../terminal.js';

interface Variant {
  readonly name: string;
  /** For people. */
  readonly text: string;
  readonly program: Program;
}

interface Skipped {
  readonly name: Engine;
  readonly reason: string;
}

interface BenchResult {
  readonly environment: string;
  readonly accelerator: string;
  readonly runs: number;
  readonly memoryMib: number;
  readonly figures: readonly Figure[];
  readonly ratios: Readonly<Record<string, number | null>>;
  readonly idleMemory: IdleMemory | null;
  readonly skipped: readonly Skipped[];
}

const DEFAULT_RUNS = 5;
const MAX_RUNS = 1000;
const RUN_TIMEOUT_MS = 300_000;
const IDLE_S = 60;
const TAG_BYTES = 4;
const SKIPPED_CHARS = 200;
const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

export const bench: Command = {
  name: 'bench',
  summary: 'Measure how long starts take on this machine: cold, warm, and beside containers',
  usage: '[OPTIONS] [ENVIRONMENT|IMAGE]',
  options: {
    runs: { type: 'string', value: 'N', help: `Rounds; each runs everything once (default ${DEFAULT_RUNS})` },
    compare: { type: 'string', value: 'ENGINES', help: 'podman, docker or both, with the same files' },
    ...MACHINE_OPTIONS,
    offline: { type: 'boolean', help: 'Never touch the network' },
    ...JSON_OPTION,
    ...PROGRESS_OPTIONS,
  },
  positionals: { least: 0, most: 1 },
  examples: ['hearth bench', 'hearth bench --runs 20 --compare podman,docker debian:12'],
  async run(args, context) {
    const runs = parseRuns(args.text('runs'));
    const engines = parseEngines(args.text('compare'));
    const progress = progressFor(args, context, args.flag('json') ? 'none' : 'plain');
    const result = await withInterrupt((signal) =>
      measure(args, context, { runs, engines, progress, signal }),
    ).finally(() => progress.finish());
    if (args.flag('json')) printJson(context, { ...result });
    else context.stdout.write(describe(result));
    return 0;
  },
};

function parseRuns(text: string | undefined): number {
  const runs = /^\d{1,6}$/.test(text ?? String(DEFAULT_RUNS)) ? Number(text ?? DEFAULT_RUNS) : Number.NaN;
  if (runs >= 1 && runs <= MAX_RUNS) return runs;
  throw new HearthError('USAGE_INVALID', `--runs is ${JSON.stringify(text?.slice(0, 64))}`, {
    hint: `Give a whole number from 1 to ${MAX_RUNS}, for example --runs 10.`,
    details: { value: text?.slice(0, 64), least: 1, most: MAX_RUNS },
  });
}

interface MeasureOptions {
  readonly runs: number;
  readonly engines: readonly Engine[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function measure(
  args: ParsedArguments,
  context: CommandContext,
  { runs, engines, progress, signal }: MeasureOptions,
): Promise<BenchResult> {
  const wishes = await machineWishes(args, context);
  const store = await environments(context, args.flag('offline'));
  const onProgress = environmentPhase(progress);
  const environment = await store.ensureInstalled(args.positionals[0], { signal, onProgress });
  const { name } = environment;
  const { accelerator } = await prepareEnvironment(environment, wishes, context, { signal, progress });
  const inGuest = (options: readonly string[], ...command: string[]): Program => ({
    command: process.execPath,
    args: [MAIN, 'run', ...machineWords(args), ...options, name, '--', ...command],
  });

  const images: ImportedImage[] = [];
  try {
    const skipped: Skipped[] = [];
    const archive = inGuest([], 'tar', '--one-file-system', '-cf', '-', '-C', '/', '.');
    for (const engine of engines) {
      progress.update('bench', name, { phase: `import into ${engine}` });
      const tag = `hearth-bench:${randomBytes(TAG_BYTES).toString('hex')}`;
      try {
        images.push(await importImage(engine, { archive, tag, signal }));
      } catch (error) {
        signal.throwIfAborted();
        skipped.push({ name: engine, reason: whySkipped(error) });
      }
    }
    const figures = await sample(variantsOf(inGuest, images), name, { runs, progress, signal });
    progress.update('bench', name, { phase: 'memory' });
    const idle = inGuest([], 'sh', '-c', `echo ready; sleep ${IDLE_S}`);
    return {
      environment: name,
      accelerator,
      runs,
      memoryMib: wishes.memoryMib,
      figures,
      ratios: {
        coldPerWarm: ratio(figures, 'cold', 'warm'),
        warmPerPodman: ratio(figures, 'warm', 'podman'),
        warmPerDocker: ratio(figures, 'warm', 'docker'),
        versionPerNode: ratio(figures, 'version', 'node'),
      },
      idleMemory: (await measureIdleMemory(idle, signal)) ?? null,
      skipped,
    };
  } finally {
    for (const image of images) await image[Symbol.asyncDispose]();
  }
}

/** @throws What is not the engine's. */
function whySkipped(error: unknown): string {
  if (!HearthError.is(error)) throw error;
  const reason = error.code === 'TOOL_NOT_FOUND' ? 'it is not installed' : error.message;
  return reason.slice(0, SKIPPED_CHARS).replace(/[.?!]+$/, '');
}

function variantsOf(
  inGuest: (options: readonly string[], ...command: string[]) => Program,
  images: readonly ImportedImage[],
): Variant[] {
  const node = process.execPath;
  return [
    { name: 'node', text: 'node -e 0', program: { command: node, args: ['-e', '0'] } },
    { name: 'version', text: 'hearth --version', program: { command: node, args: [MAIN, '--version'] } },
    { name: 'cold', text: 'hearth run --cold', program: inGuest(['--cold'], 'true') },
    { name: 'warm', text: 'hearth run', program: inGuest([], 'true') },
    ...images.map(({ engine, program }) => ({ name: engine, text: `${engine} run`, program })),
  ];
}

/** The options of the VM, as they were given. */
function machineWords(args: ParsedArguments): string[] {
  return Object.keys(MACHINE_OPTIONS).flatMap((name) => {
    const text = args.text(name);
    return text === undefined ? [] : [`--${name}`, text];
  });
}

/** Round by round, so that what else this machine does falls on all alike. */
async function sample(
  variants: readonly Variant[],
  environment: string,
  { runs, progress, signal }: Pick<MeasureOptions, 'runs' | 'progress' | 'signal'>,
): Promise<Figure[]> {
  const samples = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  for (let run = 1; run <= runs; run += 1) {
    for (const { name, program } of variants) {
      progress.update('bench', environment, { phase: `round ${run} of ${runs}` });
      samples.get(name)?.push(await timeProgram(program, { signal, timeoutMs: RUN_TIMEOUT_MS }));
    }
  }
  return variants.map(({ name, text }) => figure(name, text, samples.get(name) ?? []));
}

function describe({
  environment,
  accelerator,
  runs,
  memoryMib,
  figures,
  idleMemory,
  skipped,
}: BenchResult): string {
  const rows = figures.map(({ name, command, medianMs, leastMs, mostMs }) => {
    const times = ratio(figures, name, 'warm');
    const cells = [medianMs, leastMs, mostMs].map(formatDuration);
    return [command, ...cells, times === null ? '' : times.toFixed(2)];
  });
  const rounds = runs === 1 ? '1 round' : `${runs} rounds`;
  const lines = [
    `\`true\` in a fresh VM of ${escapeControls(environment)} (${memoryMib} MiB, ${accelerator}), ${rounds}`,
    '',
    table(['WHOLE PROCESS', 'MEDIAN', 'LEAST', 'MOST', 'TIMES WARM'], rows),
  ];
  if (idleMemory !== null) {
    lines.push(`An idle VM has ${formatSize(idleMemory.privateBytes)} of memory for itself.`);
  }
  for (const { name, reason } of skipped) lines.push(`Without ${name}: ${escapeControls(reason)}.`);
  return `${lines.join('\n')}\n`;
}
