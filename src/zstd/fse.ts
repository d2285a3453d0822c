/** Finite state entropy: distributions and the tables that decode them. Source: RFC 8878, section 4.1. */

import { ZstdProblem } from './problem.js';

/** One entry for each state. */
export interface FseTable {
  readonly accuracyLog: number;
  readonly symbols: Uint8Array;
  /** Bits to read for the next state, and what to add to them. */
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

/**
 * Reads a distribution at `start` and builds its table.
 *
 * @returns The table and the position behind the distribution.
 */
export function readFseTable(
  bytes: Uint8Array,
  start: number,
  end: number,
  maxAccuracyLog: number,
  maxSymbol: number,
): { table: FseTable; next: number } {
  const endBit = end * 8;
  let bit = start * 8;
  const read = (count: number): number => {
    const at = bit >> 3;
    const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    const value = (word >>> (bit & 7)) & ((1 << count) - 1);
    bit += count;
    return value;
  };
  const accuracyLog = read(4) + 5;
  if (accuracyLog > maxAccuracyLog) throw new ZstdProblem('a distribution is too fine');
  const counts: number[] = [];
  let remaining = 1 << accuracyLog;
  while (remaining > 0) {
    if (counts.length > maxSymbol || bit > endBit)
      throw new ZstdProblem('a distribution has too many symbols');
    const width = 32 - Math.clz32(remaining + 1);
    const threshold = (1 << width) - 1 - (remaining + 1);
    const lowMask = (1 << (width - 1)) - 1;
    let value = read(width);
    if ((value & lowMask) < threshold) {
      bit -= 1;
      value &= lowMask;
    } else if (value > lowMask) {
      value -= threshold;
    }
    const count = value - 1;
    remaining -= Math.abs(count);
    counts.push(count);
    if (count !== 0) continue;
    for (let repeat = 3; repeat === 3; ) {
      repeat = read(2);
      for (let i = 0; i < repeat; i += 1) counts.push(0);
      if (counts.length > maxSymbol + 1) throw new ZstdProblem('a distribution has too many symbols');
    }
  }
  const next = (bit + 7) >> 3;
  if (remaining !== 0 || counts.length > maxSymbol + 1 || next > end) {
    throw new ZstdProblem('a distribution does not add up');
  }
  return { table: buildFseTable(counts, accuracyLog), next };
}

/** @param counts Share of each symbol of the `2^accuracyLog` states; -1 is less than one. */
export function buildFseTable(counts: readonly number[], accuracyLog: number): FseTable {
  const size = 1 << accuracyLog;
  const symbols = new Uint8Array(size);
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  const states = new Uint16Array(counts.length);
  let high = size;
  for (const [symbol, count] of counts.entries()) {
    if (count !== -1) continue;
    high -= 1;
    symbols[high] = symbol;
    states[symbol] = 1;
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  for (const [symbol, count] of counts.entries()) {
    if (count <= 0) continue;
    states[symbol] = count;
    for (let i = 0; i < count; i += 1) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position >= high);
    }
  }
  if (position !== 0) throw new ZstdProblem('a distribution does not add up');
  for (let i = 0; i < size; i += 1) {
    const symbol = symbols[i] ?? 0;
    const state = states[symbol] ?? 0;
    states[symbol] = state + 1;
    const width = accuracyLog - (31 - Math.clz32(state));
    bits[i] = width;
    bases[i] = (state << width) - size;
  }
  return { accuracyLog, symbols, bits, bases };
}

/** The table of a single symbol, which takes no bits. */
export function singleSymbolTable(symbol: number): FseTable {
  return {
    accuracyLog: 0,
    symbols: Uint8Array.of(symbol),
    bits: new Uint8Array(1),
    bases: new Uint16Array(1),
  };
}

/**
 * The number of bits in a stream that is read backwards: its last byte ends with a 1 and zeros above it.
 *
 * @param start Of the stream, which ends before `end`.
 */
export function backwardBits(bytes: Uint8Array, start: number, end: number): number {
  const last = end > start ? (bytes[end - 1] ?? 0) : 0;
  if (last === 0) throw new ZstdProblem('a stream without an end mark');
  return (end - start - 1) * 8 + (31 - Math.clz32(last));
}
