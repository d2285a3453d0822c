/** Samples of durations and what is said of them. */

export interface Figure {
  /** Stable, for programs: `warm`, `podman`. */
  readonly name: string;
  /** For people: what was run. */
  readonly command: string;
  readonly medianMs: number;
  readonly leastMs: number;
  readonly mostMs: number;
  /** In the order of the rounds. */
  readonly samplesMs: readonly number[];
}

const round = (ms: number): number => Math.round(ms * 10) / 10;

/** The middle one, or half-way between the two in the middle. At least one sample. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

export function figure(name: string, command: string, samples: readonly number[]): Figure {
  return {
    name,
    command,
    medianMs: round(median(samples)),
    leastMs: round(Math.min(...samples)),
    mostMs: round(Math.max(...samples)),
    samplesMs: samples.map(round),
  };
}

/** How many times `one` takes as long as `other`, to two places; null when either was not measured. */
export function ratio(figures: readonly Figure[], one: string, other: string): number | null {
  const [above, below] = [one, other].map((name) => figures.find((found) => found.name === name)?.medianMs);
  if (above === undefined || below === undefined || below === 0) return null;
  return Math.round((above / below) * 100) / 100;
}
