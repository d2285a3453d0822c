/** Repeatable chance: the same seed gives the same run. */

/** Seed and number of runs: `HEARTH_FUZZ_SEED=… HEARTH_FUZZ_RUNS=…`, or these defaults. */
export function fuzzPlan(defaultRuns: number): { readonly seed: number; readonly runs: number } {
  const seed = Number(process.env.HEARTH_FUZZ_SEED ?? 20_260_101);
  const runs = Number(process.env.HEARTH_FUZZ_RUNS ?? defaultRuns);
  if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(runs))
    throw new Error('HEARTH_FUZZ_… must be whole numbers');
  return { seed, runs };
}

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: 0..2^32-1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** 0..limit-1 */
  below(limit: number): number {
    return this.next() % limit;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  bytes(lengthBytes: number): Uint8Array {
    return Uint8Array.from({ length: lengthBytes }, () => this.below(256));
  }

  /** The bytes with a few flipped, cut, doubled or replaced by numbers that parsers fear. */
  mutate(bytes: Uint8Array): Uint8Array {
    let result = Buffer.from(bytes);
    for (let changes = 1 + this.below(4); changes > 0; changes--) {
      const at = this.below(result.byteLength + 1);
      switch (this.below(5)) {
        case 0:
          if (at < result.byteLength) result[at] = this.below(256);
          break;
        case 1:
          result = result.subarray(0, at);
          break;
        case 2:
          result = Buffer.concat([result.subarray(0, at), this.bytes(this.below(9)), result.subarray(at)]);
          break;
        case 3:
          if (at + 4 <= result.byteLength) {
            result.writeUInt32BE(this.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 65_536, 65_537]), at);
          }
          break;
        default:
          result = Buffer.concat([result.subarray(0, at), result.subarray(Math.max(0, at - this.below(30)))]);
      }
    }
    return result;
  }
}
