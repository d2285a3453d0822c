// Chance that a seed repeats, damage, and what may come of it: what all fuzzers share.
import { HearthError } from '../../dist/errors/index.js';

/** xorshift32 over a scrambled seed. */
export function randomOf(seed) {
  let x = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1;
  const next = () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
  return {
    below: (limit) => next() % limit,
    chance: (percent) => next() % 100 < percent,
    pick: (list) => list[next() % list.length],
  };
}

/** Changes, cuts, doubles and swaps bytes. */
export function mutated(bytes, random) {
  let result = Buffer.from(bytes);
  for (let count = random.below(6); count > 0 && result.byteLength > 0; count -= 1) {
    const at = random.below(result.byteLength);
    const length = random.below(Math.min(600, result.byteLength - at));
    switch (random.below(6)) {
      case 0:
        result[at] = random.below(256);
        break;
      case 1:
        result[at] ^= 1 << random.below(8);
        break;
      case 2:
        result.fill(random.pick([0, 0x20, 0x37, 0x80, 0xff]), at, at + length);
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + length)]);
        break;
      case 4:
        result = Buffer.concat([result.subarray(0, at + length), result.subarray(at)]);
        break;
      default:
        result = Buffer.from(result.subarray(0, at));
    }
  }
  return result;
}

/** What became of a try: the value, or the code of what was thrown. Anything without a code is thrown on. */
export function outcome(attempt) {
  try {
    return attempt();
  } catch (error) {
    if (!HearthError.is(error)) throw error;
    return `code ${error.code}`;
  }
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}
