/**
 * The LZ4 legacy frame, in which a bzImage carries its kernel when CONFIG_KERNEL_LZ4 is set.
 *
 * Source: lz4 v1.9.4, doc/lz4_Frame_format.md, "Legacy frame", and doc/lz4_Block_format.md.
 * Not for modern LZ4 frames (magic 0x184D2204), which kernels do not use.
 */
import { HearthError } from '../errors/index.js';

const LZ4_LEGACY_MAGIC = 0x184c2102;

/** What one block of a legacy frame expands to at most, in bytes. */
const MAX_BLOCK_BYTES = 8 * 1024 * 1024;
const MIN_MATCH_BYTES = 4;
const LENGTH_CONTINUES = 15;
const BYTE_MAX = 255;

/**
 * Expands one legacy frame, with its magic number. Ends at the end of `input` or, as the kernel's own
 * reader does, before a tail too short to be a block: a bzImage ends with four bytes of size.
 *
 * @param expandedBytes Length of the result; the frame must give exactly as many.
 * @throws {HearthError} `COMPRESSION_INVALID` for anything else than such a frame.
 */
export function expandLz4Legacy(input: Uint8Array, expandedBytes: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (input.byteLength < 4 || view.getUint32(0, true) !== LZ4_LEGACY_MAGIC) {
    throw invalid('it does not begin with the magic number of a legacy frame', 0);
  }
  const output = new Uint8Array(expandedBytes);
  let at = 4;
  let written = 0;
  while (written < expandedBytes) {
    if (at + 4 > input.byteLength) throw invalid('it ends too early', at);
    const blockBytes = view.getUint32(at, true);
    at += 4;
    if (blockBytes === LZ4_LEGACY_MAGIC) continue;
    if (blockBytes === 0 || at + blockBytes > input.byteLength) {
      throw invalid(`a block claims ${blockBytes} bytes`, at - 4);
    }
    const limit = Math.min(expandedBytes, written + MAX_BLOCK_BYTES);
    written = expandBlock(input.subarray(at, at + blockBytes), output, written, limit, at);
    at += blockBytes;
  }
  return output;
}

/**
 * Expands one block to `output[start..limit)`; matches may reach back no further than `start`.
 *
 * @param offset Of the block in the whole input, for messages.
 * @returns The end of what was written.
 */
function expandBlock(
  block: Uint8Array,
  output: Uint8Array,
  start: number,
  limit: number,
  offset: number,
): number {
  let at = 0;
  let to = start;

  const byteAt = (index: number): number => {
    const byte = block[index];
    if (byte === undefined) throw invalid('a block ends within a sequence', offset + index);
    return byte;
  };
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    if (nibble !== LENGTH_CONTINUES) return length;
    let byte = BYTE_MAX;
    while (byte === BYTE_MAX) {
      byte = byteAt(at);
      at += 1;
      length += byte;
    }
    return length;
  };

  while (at < block.byteLength) {
    const token = byteAt(at);
    at += 1;
    const literals = lengthFrom(token >> 4);
    if (at + literals > block.byteLength) throw invalid('literals reach past their block', offset + at);
    if (to + literals > limit) throw invalid('it expands to more than was announced', offset + at);
    output.set(block.subarray(at, at + literals), to);
    at += literals;
    to += literals;
    if (at === block.byteLength) break;

    const distance = byteAt(at) | (byteAt(at + 1) << 8);
    at += 2;
    const from = to - distance;
    if (distance === 0 || from < start) throw invalid(`a match reaches ${distance} bytes back`, offset + at);
    const matched = lengthFrom(token & LENGTH_CONTINUES) + MIN_MATCH_BYTES;
    if (to + matched > limit) throw invalid('it expands to more than was announced', offset + at);
    if (distance >= matched) {
      output.copyWithin(to, from, from + matched);
    } else {
      for (let index = 0; index < matched; index += 1) output[to + index] = output[from + index] ?? 0;
    }
    to += matched;
  }
  return to;
}

function invalid(what: string, offset: number): HearthError {
  return new HearthError('COMPRESSION_INVALID', `not a valid LZ4 legacy frame at byte ${offset}: ${what}`, {
    details: { format: 'lz4', offset },
  });
}
