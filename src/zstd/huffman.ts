/** Huffman-coded literals. Source: RFC 8878, sections 3.1.1.3.1 and 4.2. */
import { backwardBits, readFseTable } from './fse.js';
import { ZstdProblem } from './problem.js';

export interface HuffmanTable {
  /** Of the longest code, 1..11. */
  readonly maxBits: number;
  /** By the next `maxBits` bits: symbol in the low byte, length of its code above. */
  readonly entries: Uint16Array;
}

const MAX_BITS = 11;
const MAX_SYMBOLS = 256;
const WEIGHTS_ACCURACY_LOG = 6;

/** Reads a tree description at `start`; returns the position behind it, too. */
export function readHuffmanTable(
  bytes: Uint8Array,
  start: number,
  end: number,
): { table: HuffmanTable; next: number } {
  const header = bytes[start] ?? 0;
  const isDirect = header >= 128;
  const next = start + 1 + (isDirect ? Math.ceil((header - 127) / 2) : header);
  if (start >= end || next > end) throw new ZstdProblem('a tree leaves its block');
  const weights = isDirect
    ? directWeights(bytes, start + 1, header - 127)
    : codedWeights(bytes, start + 1, next);
  return { table: buildTable(weights), next };
}

/**
 * Decodes the symbols of the stream between `start` and `end` into `output`, from `at` to `outputEnd`.
 * `bytes` must have two readable bytes behind `end`.
 */
export function decodeHuffman(
  { maxBits, entries }: HuffmanTable,
  bytes: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  at: number,
  outputEnd: number,
): void {
  // Position, in bits from the start of `bytes`, of the end of what has not been read.
  const first = start * 8;
  let bit = first + backwardBits(bytes, start, end);
  const mask = (1 << maxBits) - 1;
  for (let i = at; i < outputEnd; i += 1) {
    const from = bit - maxBits;
    const byte = from >> 3;
    // Below the stream lies what does not matter: a code that needs it fails at the end.
    const word =
      (bytes[byte] as number) | ((bytes[byte + 1] as number) << 8) | ((bytes[byte + 2] as number) << 16);
    const entry = entries[(word >>> (from & 7)) & mask] as number;
    output[i] = entry;
    bit -= entry >> 8;
  }
  if (bit !== first) throw new ZstdProblem('a literal stream has another length');
}

function directWeights(bytes: Uint8Array, start: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const byte = bytes[start + (i >> 1)] ?? 0;
    return i % 2 === 0 ? byte >> 4 : byte & 15;
  });
}

function codedWeights(bytes: Uint8Array, start: number, end: number): number[] {
  const { table, next } = readFseTable(bytes, start, end, WEIGHTS_ACCURACY_LOG, MAX_SYMBOLS - 1);
  const { accuracyLog, symbols, bits, bases } = table;
  let left = backwardBits(bytes, next, end);
  const read = (count: number): number => {
    left -= count;
    const from = Math.max(left, 0);
    const byte = next + (from >> 3);
    const word = (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8);
    return (word >>> (from & 7)) & ((1 << count) - 1);
  };
  let now = read(accuracyLog);
  let other = read(accuracyLog);
  const weights: number[] = [];
  // Two states take turns; when one runs out of bits, the other has one more symbol.
  while (left >= 0 && weights.length < MAX_SYMBOLS) {
    weights.push(symbols[now] ?? 0);
    const following = (bases[now] ?? 0) + read(bits[now] ?? 0);
    now = other;
    other = following;
  }
  weights.push(symbols[now] ?? 0);
  return weights;
}

/** @param weights Of all symbols but the last, whose weight makes the sum a power of two. */
function buildTable(weights: number[]): HuffmanTable {
  const sum = weights.reduce((total, weight) => total + (weight > 0 ? 1 << (weight - 1) : 0), 0);
  const maxBits = 32 - Math.clz32(sum);
  const rest = (1 << maxBits) - sum;
  const isUsable =
    sum > 0 && maxBits <= MAX_BITS && weights.length < MAX_SYMBOLS && (rest & (rest - 1)) === 0;
  if (!isUsable || weights.some((weight) => weight > maxBits))
    throw new ZstdProblem('a tree does not add up');
  weights.push(32 - Math.clz32(rest));
  const entries = new Uint16Array(1 << maxBits);
  let position = 0;
  for (let weight = 1; weight <= maxBits; weight += 1) {
    const entryOf = (maxBits + 1 - weight) << 8;
    for (const [symbol, own] of weights.entries()) {
      if (own !== weight) continue;
      entries.fill(entryOf | symbol, position, position + (1 << (weight - 1)));
      position += 1 << (weight - 1);
    }
  }
  if (position !== entries.length) throw new ZstdProblem('a tree does not add up');
  return { maxBits, entries };
}
