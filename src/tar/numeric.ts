/**
 * Numbers in tar headers: octal text, or base-256 (two's complement, first bit set) as GNU tar writes what
 * does not fit. `NaN` stands for whatever is malformed or beyond 2^53-1; the caller knows the field's name.
 */

const SPACE = 0x20;
const ZERO = 0x30;
const NINE = 0x39;

/** Reads `length` bytes at `start`: octal or base-256, negative only in base-256. Blank is 0. */
export function readNumber(block: Uint8Array, start: number, length: number): number {
  const first = block[start] ?? 0;
  if ((first & 0x80) === 0) return readOctal(block, start, length);
  const negative = (first & 0x40) !== 0;
  const flip = negative ? 0xff : 0;
  let value = ((first ^ flip) & 0x7f) | 0;
  for (let i = start + 1; i < start + length; i += 1) {
    value = value * 256 + ((block[i] ?? 0) ^ flip);
    if (value > Number.MAX_SAFE_INTEGER) return Number.NaN;
  }
  return negative ? -value - 1 : value;
}

/** Reads octal digits with NULs or spaces around them; a NUL inside ends the number. Blank is 0. */
export function readOctal(block: Uint8Array, start: number, length: number): number {
  let i = start;
  const end = start + length;
  while (i < end && isBlank(block[i])) i += 1;
  let value = 0;
  for (; i < end; i += 1) {
    const byte = block[i] ?? 0;
    if (byte === 0) break;
    if (byte === SPACE) return onlyBlank(block, i, end) ? value : Number.NaN;
    const digit = byte - ZERO;
    if (digit < 0 || digit > 7) return Number.NaN;
    value = value * 8 + digit;
  }
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** A decimal integer with an optional minus, as PAX writes it; `NaN` for anything else. */
export function parseDecimal(text: string): number {
  return /^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : Number.NaN;
}

/**
 * Reads a decimal number from `start` up to the byte `terminator`.
 *
 * @returns The number (`NaN` when malformed) and the position behind the terminator; undefined when there is no terminator.
 */
export function readDecimalUntil(
  bytes: Uint8Array,
  start: number,
  terminator: number,
): { value: number; next: number } | undefined {
  let value = 0;
  for (let i = start; i < bytes.byteLength; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte === terminator) return { value: i === start ? Number.NaN : value, next: i + 1 };
    value = byte < ZERO || byte > NINE ? Number.NaN : value * 10 + (byte - ZERO);
    if (value > Number.MAX_SAFE_INTEGER) value = Number.NaN;
  }
  return undefined;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0 || byte === SPACE;
}

function onlyBlank(block: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) if (!isBlank(block[i])) return false;
  return true;
}
