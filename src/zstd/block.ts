/**
 * Compressed blocks: literals, and sequences that say how to weave them with what came before.
 * Source: RFC 8878, section 3.1.1.3.
 */
import { backwardBits, buildFseTable, type FseTable, readFseTable, singleSymbolTable } from './fse.js';
import { decodeHuffman, type HuffmanTable, readHuffmanTable } from './huffman.js';
import { ZstdProblem } from './problem.js';

/** Largest block, compressed or not, in bytes. */
export const MAX_BLOCK_BYTES = 128 * 1024;

/** Decoded bytes; `history` of them before `length` may be referred to. */
export interface Output {
  bytes: Uint8Array;
  length: number;
  /** How far back references may reach. */
  history: number;
}

/** What one block of a frame leaves to the next. */
export interface BlockContext {
  huffman: HuffmanTable | undefined;
  literalLengths: FseTable | undefined;
  offsets: FseTable | undefined;
  matchLengths: FseTable | undefined;
  readonly repeats: [number, number, number];
}

export function newBlockContext(): BlockContext {
  return {
    huffman: undefined,
    literalLengths: undefined,
    offsets: undefined,
    matchLengths: undefined,
    repeats: [1, 4, 8],
  };
}

const LITERAL_LENGTH_BITS = [
  ...new Array<number>(16).fill(0),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
];
const MATCH_LENGTH_BITS = [
  ...new Array<number>(32).fill(0),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  4,
  5,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
];
const literalLengthBits = Uint8Array.from(LITERAL_LENGTH_BITS);
const matchLengthBits = Uint8Array.from(MATCH_LENGTH_BITS);
const literalLengthBases = basesOf(LITERAL_LENGTH_BITS, 0);
const matchLengthBases = basesOf(MATCH_LENGTH_BITS, 3);

const DEFAULT_LITERAL_LENGTHS = buildFseTable(
  [
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1,
    -1, -1,
  ],
  6,
);
const DEFAULT_OFFSETS = buildFseTable(
  [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
  5,
);
const DEFAULT_MATCH_LENGTHS = buildFseTable(
  [1, 4, 3, 2, 2, 2, 2, 2, 2, ...new Array<number>(37).fill(1), ...new Array<number>(7).fill(-1)],
  6,
);
const MAX_LITERAL_LENGTH_SYMBOL = 35;
const MAX_OFFSET_SYMBOL = 31;
const MAX_MATCH_LENGTH_SYMBOL = 52;
/** Copies shorter than this are quicker byte by byte. */
const SHORT_COPY = 24;

const literals = new Uint8Array(MAX_BLOCK_BYTES + SHORT_COPY);

/**
 * Decodes the block between `start` and `end` of `bytes`, which has readable bytes before and behind it.
 *
 * @param output Has room for `MAX_BLOCK_BYTES` more.
 */
export function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: BlockContext,
  output: Output,
): void {
  const { next, literalCount } = readLiterals(bytes, start, end, context);
  readSequences(bytes, next, end, context, output, literalCount);
}

function basesOf(bits: readonly number[], first: number): Uint32Array {
  let base = first;
  return Uint32Array.from(bits, (width) => {
    const own = base;
    base += 2 ** width;
    return own;
  });
}

/** Fills `literals`; returns how many there are and where the sequences begin. */
function readLiterals(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: BlockContext,
): { next: number; literalCount: number } {
  const byte = (at: number): number => (start + at < end ? (bytes[start + at] ?? 0) : 0);
  const type = byte(0) & 3;
  const format = (byte(0) >> 2) & 3;
  if (type < 2) {
    const headerBytes = format === 1 ? 2 : format === 3 ? 3 : 1;
    const count =
      headerBytes === 1
        ? byte(0) >> 3
        : (byte(0) >> 4) | (byte(1) << 4) | (headerBytes === 3 ? byte(2) << 12 : 0);
    const from = start + headerBytes;
    const next = from + (type === 0 ? count : 1);
    if (next > end || count > MAX_BLOCK_BYTES) throw new ZstdProblem('literals leave their block');
    if (type === 0) literals.set(bytes.subarray(from, next));
    else literals.fill(bytes[from] ?? 0, 0, count);
    return { next, literalCount: count };
  }
  const headerBytes = format < 2 ? 3 : format + 2;
  const sizeBits = format < 2 ? 10 : format === 2 ? 14 : 18;
  const low = byte(0) | (byte(1) << 8) | (byte(2) << 16);
  const mask = (1 << sizeBits) - 1;
  const count = ((low >>> 4) | (byte(3) << 20)) & mask;
  const sizeAt = 4 + sizeBits;
  const packed =
    sizeBits === 18
      ? (byte(2) >> 6) | (byte(3) << 2) | (byte(4) << 10)
      : (low >>> sizeAt) | (byte(3) << (24 - sizeAt));
  const from = start + headerBytes;
  const next = from + (packed & mask);
  if (next > end || count > MAX_BLOCK_BYTES) throw new ZstdProblem('literals leave their block');
  let at = from;
  if (type === 2) {
    const tree = readHuffmanTable(bytes, from, next);
    context.huffman = tree.table;
    at = tree.next;
  }
  if (context.huffman === undefined) throw new ZstdProblem('literals without a tree');
  if (format === 0) decodeHuffman(context.huffman, bytes, at, next, literals, 0, count);
  else decodeFourStreams(context.huffman, bytes, at, next, count);
  return { next, literalCount: count };
}

function decodeFourStreams(
  table: HuffmanTable,
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
): void {
  const share = (count + 3) >> 2;
  let from = start + 6;
  if (from > end || share * 3 > count) throw new ZstdProblem('literal streams leave their block');
  for (let i = 0; i < 4; i += 1) {
    const length = (bytes[start + 2 * i] ?? 0) | ((bytes[start + 2 * i + 1] ?? 0) << 8);
    const to = i < 3 ? from + length : end;
    if (to > end) throw new ZstdProblem('literal streams leave their block');
    decodeHuffman(table, bytes, from, to, literals, i * share, i < 3 ? (i + 1) * share : count);
    from = to;
  }
}

function readSequences(
  bytes: Uint8Array,
  start: number,
  end: number,
  context: BlockContext,
  output: Output,
  literalCount: number,
): void {
  const byte = (at: number): number => (at < end ? (bytes[at] ?? 0) : 0);
  let at = start + 1;
  let count = byte(start);
  if (start >= end) throw new ZstdProblem('a block without sequences');
  if (count === 255) {
    count = byte(at) + (byte(at + 1) << 8) + 0x7f00;
    at += 2;
  } else if (count >= 128) {
    count = ((count - 128) << 8) + byte(at);
    at += 1;
  }
  if (count === 0) {
    if (at !== end) throw new ZstdProblem('bytes behind the sequences');
    appendLiterals(output, 0, literalCount);
    return;
  }
  const modes = byte(at);
  at += 1;
  if ((modes & 3) !== 0) throw new ZstdProblem('reserved bits are set');
  const table = (
    mode: number,
    standard: FseTable,
    last: FseTable | undefined,
    maxLog: number,
    maxSymbol: number,
  ): FseTable => {
    if (mode === 0) return standard;
    if (mode === 3) {
      if (last === undefined) throw new ZstdProblem('a table is repeated that was never there');
      return last;
    }
    if (mode === 2) {
      const read = readFseTable(bytes, at, end, maxLog, maxSymbol);
      at = read.next;
      return read.table;
    }
    const symbol = byte(at);
    at += 1;
    if (symbol > maxSymbol) throw new ZstdProblem('a code out of range');
    return singleSymbolTable(symbol);
  };
  const lengths = table(
    modes >> 6,
    DEFAULT_LITERAL_LENGTHS,
    context.literalLengths,
    9,
    MAX_LITERAL_LENGTH_SYMBOL,
  );
  const offsets = table((modes >> 4) & 3, DEFAULT_OFFSETS, context.offsets, 8, MAX_OFFSET_SYMBOL);
  const matches = table(
    (modes >> 2) & 3,
    DEFAULT_MATCH_LENGTHS,
    context.matchLengths,
    9,
    MAX_MATCH_LENGTH_SYMBOL,
  );
  context.literalLengths = lengths;
  context.offsets = offsets;
  context.matchLengths = matches;
  if (at > end) throw new ZstdProblem('sequences leave their block');
  const used = weave(
    { bytes, start: at, end, count, lengths, offsets, matches },
    context.repeats,
    output,
    literalCount,
  );
  appendLiterals(output, used, literalCount);
}

function appendLiterals(output: Output, from: number, to: number): void {
  output.bytes.set(literals.subarray(from, to), output.length);
  output.length += to - from;
}

interface Sequences {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly lengths: FseTable;
  readonly offsets: FseTable;
  readonly matches: FseTable;
}

/** `width` bits (at most 16) from bit number `from` on; the caller has the position, because a closure over it is slow. */
function bitsAt(bytes: Uint8Array, from: number, width: number): number {
  const at = from >> 3;
  const word = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
  return (word >>> (from & 7)) & ((1 << width) - 1);
}

/** Executes the sequences; returns how many literals they took. */
function weave(
  { bytes, start, end, count, lengths, offsets, matches }: Sequences,
  repeats: [number, number, number],
  output: Output,
  literalCount: number,
): number {
  const first = start * 8;
  let bit = first + backwardBits(bytes, start, end);
  bit -= lengths.accuracyLog;
  let lengthState = bitsAt(bytes, bit, lengths.accuracyLog);
  bit -= offsets.accuracyLog;
  let offsetState = bitsAt(bytes, bit, offsets.accuracyLog);
  bit -= matches.accuracyLog;
  let matchState = bitsAt(bytes, bit, matches.accuracyLog);
  let [repeat0, repeat1, repeat2] = repeats;
  const out = output.bytes;
  const limit = output.length + MAX_BLOCK_BYTES;
  let to = output.length;
  let from = 0;
  for (let left = count; left > 0; left -= 1) {
    const offsetCode = offsets.symbols[offsetState] as number;
    const matchCode = matches.symbols[matchState] as number;
    const lengthCode = lengths.symbols[lengthState] as number;
    // No window is larger than 2^27, so no offset is honest that has more bits.
    if (offsetCode > 27 || bit < first) throw new ZstdProblem('an offset out of range');
    let value = 1 << offsetCode;
    if (offsetCode > 16) {
      bit -= offsetCode - 16;
      value += bitsAt(bytes, bit, offsetCode - 16) << 16;
    }
    let width = Math.min(offsetCode, 16);
    bit -= width;
    value += bitsAt(bytes, bit, width);
    width = matchLengthBits[matchCode] as number;
    bit -= width;
    const matchLength = (matchLengthBases[matchCode] as number) + bitsAt(bytes, bit, width);
    width = literalLengthBits[lengthCode] as number;
    bit -= width;
    const literalLength = (literalLengthBases[lengthCode] as number) + bitsAt(bytes, bit, width);

    let offset: number;
    if (value > 3) {
      offset = value - 3;
      repeat2 = repeat1;
      repeat1 = repeat0;
      repeat0 = offset;
    } else {
      const which = literalLength === 0 ? value : value - 1;
      offset = which === 0 ? repeat0 : which === 1 ? repeat1 : which === 2 ? repeat2 : repeat0 - 1;
      if (which > 1) repeat2 = repeat1;
      if (which > 0) repeat1 = repeat0;
      repeat0 = offset;
    }
    if (left > 1) {
      width = lengths.bits[lengthState] as number;
      bit -= width;
      lengthState = (lengths.bases[lengthState] as number) + bitsAt(bytes, bit, width);
      width = matches.bits[matchState] as number;
      bit -= width;
      matchState = (matches.bases[matchState] as number) + bitsAt(bytes, bit, width);
      width = offsets.bits[offsetState] as number;
      bit -= width;
      offsetState = (offsets.bases[offsetState] as number) + bitsAt(bytes, bit, width);
    }

    const matchAt = to + literalLength;
    const isSound =
      from + literalLength <= literalCount &&
      matchAt + matchLength <= limit &&
      offset > 0 &&
      offset <= output.history + (matchAt - output.length) &&
      offset <= matchAt;
    if (!isSound) throw new ZstdProblem('a sequence out of range');
    if (literalLength < SHORT_COPY) {
      for (let i = 0; i < literalLength; i += 1) out[to + i] = literals[from + i] as number;
    } else {
      out.set(literals.subarray(from, from + literalLength), to);
    }
    from += literalLength;
    to = matchAt + matchLength;
    if (matchLength < SHORT_COPY || offset < matchLength) {
      for (let i = matchAt; i < to; i += 1) out[i] = out[i - offset] as number;
    } else {
      out.copyWithin(matchAt, matchAt - offset, to - offset);
    }
  }
  if (bit !== first) throw new ZstdProblem('the sequences have another length');
  if (to + literalCount - from > limit) throw new ZstdProblem('a block that grows too large');
  output.length = to;
  repeats[0] = repeat0;
  repeats[1] = repeat1;
  repeats[2] = repeat2;
  return from;
}
