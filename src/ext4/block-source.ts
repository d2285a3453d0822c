/** Blocks planned for one purpose, in the order in which they are used up. */
import type { Runs } from './free-space.js';

/** Hands out the blocks of runs one by one. */
export class BlockSource {
  readonly #runs: Runs;
  #run = 0;
  #used = 0;

  constructor(runs: Runs) {
    this.#runs = runs;
  }

  next = (): number => {
    if (this.#used === this.#runs[this.#run + 1]) {
      this.#run += 2;
      this.#used = 0;
    }
    const block = (this.#runs[this.#run] ?? Number.NaN) + this.#used;
    this.#used += 1;
    return block;
  };

  /** The runs that were not handed out. */
  rest(): Runs {
    const rest = this.#runs.slice(this.#run);
    rest[0] = (rest[0] ?? 0) + this.#used;
    rest[1] = (rest[1] ?? 0) - this.#used;
    return rest;
  }
}
