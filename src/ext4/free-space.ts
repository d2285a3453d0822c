/** Free blocks as sorted runs: first fit, deterministic, small however large the image is. */

/** Block runs: first block and block count by turns. */
export type Runs = number[];

export class FreeSpace {
  /** Ascending, neither touching nor overlapping. */
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** Adds a run after all present ones. */
  append(start: number, end: number): void {
    if (start >= end) return;
    const last = this.#ends.length - 1;
    if (this.#ends[last] === start) this.#ends[last] = end;
    else {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  /**
   * Takes `count` blocks in one run: the first fit at or after `from`, else the first fit from the start.
   *
   * @returns The first block, or undefined when no run is long enough.
   */
  takeRun(count: number, from = 0): number | undefined {
    const first = this.#indexAt(from);
    for (let i = first; i < this.#starts.length; i++) {
      const start = Math.max(this.#starts[i] ?? 0, from);
      if ((this.#ends[i] ?? 0) - start >= count) return this.#cut(i, start, count);
    }
    for (let i = 0; i <= first && i < this.#starts.length; i++) {
      const start = this.#starts[i] ?? 0;
      if ((this.#ends[i] ?? 0) - start >= count) return this.#cut(i, start, count);
    }
    return undefined;
  }

  /** Takes the first `count` blocks wherever they lie; undefined, and nothing taken, when there are fewer. */
  takeBlocks(count: number): Runs | undefined {
    const runs: Runs = [];
    let missing = count;
    let whole = 0;
    for (let i = 0; i < this.#starts.length && missing > 0; i++) {
      const start = this.#starts[i] ?? 0;
      const taken = Math.min(missing, (this.#ends[i] ?? 0) - start);
      runs.push(start, taken);
      missing -= taken;
      if (start + taken === this.#ends[i]) whole = i + 1;
    }
    if (missing > 0) return undefined;
    const partial = runs.length / 2 > whole ? (runs.at(-1) ?? 0) : 0;
    this.#starts.splice(0, whole);
    this.#ends.splice(0, whole);
    if (partial > 0) this.#starts[0] = (this.#starts[0] ?? 0) + partial;
    return runs;
  }

  /** Every free run, ascending. */
  *runs(): Generator<readonly [start: number, end: number]> {
    for (let i = 0; i < this.#starts.length; i++) yield [this.#starts[i] ?? 0, this.#ends[i] ?? 0];
  }

  /** Index of the first run that ends after `block`. */
  #indexAt(block: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] ?? 0) > block) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #cut(index: number, start: number, count: number): number {
    const runStart = this.#starts[index] ?? 0;
    const runEnd = this.#ends[index] ?? 0;
    const starts: number[] = [];
    const ends: number[] = [];
    if (runStart < start) {
      starts.push(runStart);
      ends.push(start);
    }
    if (start + count < runEnd) {
      starts.push(start + count);
      ends.push(runEnd);
    }
    this.#starts.splice(index, 1, ...starts);
    this.#ends.splice(index, 1, ...ends);
    return start;
  }
}
