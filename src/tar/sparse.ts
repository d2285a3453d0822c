/**
 * Sparse maps: which ranges of a file the archive holds. Flat pairs of offset and length, ascending.
 *
 * Source: GNU tar manual, "Storing Sparse Files" (old GNU, PAX 0.0, 0.1, 1.0).
 */
import { readDecimalUntil, readNumber } from './numeric.js';

const NEWLINE = 0x0a;
const PAIR_BYTES = 24;
const NUMBER_BYTES = 12;

/**
 * Checks a map against the sizes that the headers name.
 *
 * @returns The reason why it is refused, or undefined.
 */
export function sparseMapProblem(
  map: readonly number[],
  sizeBytes: number,
  storedBytes: number,
): string | undefined {
  let end = 0;
  let total = 0;
  for (let i = 0; i < map.length; i += 2) {
    const offset = map[i] ?? Number.NaN;
    const length = map[i + 1] ?? Number.NaN;
    if (!(offset >= end && length >= 0 && offset + length <= sizeBytes)) {
      return 'sparse map out of order or beyond the file';
    }
    end = offset + length;
    total += length;
  }
  return total === storedBytes ? undefined : 'sparse map does not match the stored size';
}

/** Reads up to `count` pairs at `start` of an old GNU header block; an empty offset field ends the list. */
export function readSparsePairs(block: Uint8Array, start: number, count: number, map: number[]): void {
  for (let at = start; at < start + count * PAIR_BYTES; at += PAIR_BYTES) {
    if (block[at] === 0) return;
    map.push(readNumber(block, at, NUMBER_BYTES), readNumber(block, at + NUMBER_BYTES, NUMBER_BYTES));
  }
}

/**
 * Parses the map that stands before the data in PAX format 1.0: the number of pairs, then each number, on lines of their own.
 *
 * @returns The map and the bytes it takes; undefined while more bytes are needed; the reason when it is malformed.
 */
export function parseSparseMap(
  bytes: Uint8Array,
): { map: number[]; byteLength: number } | string | undefined {
  const count = readDecimalUntil(bytes, 0, NEWLINE);
  if (count === undefined) return undefined;
  // Each pair takes at least four bytes: a count that the data cannot hold is refused before it is believed.
  if (Number.isNaN(count.value)) return 'sparse map without a count';
  const map: number[] = [];
  let position = count.next;
  for (let i = 0; i < count.value * 2; i += 1) {
    const number = readDecimalUntil(bytes, position, NEWLINE);
    if (number === undefined) return undefined;
    if (Number.isNaN(number.value)) return 'sparse map with a malformed number';
    map.push(number.value);
    position = number.next;
  }
  return { map, byteLength: position };
}
