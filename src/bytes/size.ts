/** Sizes as people write them: `512M`, `1.5G`, `4096`; inside hearth a size is an integer of bytes. */
import { HearthError } from '../errors/index.js';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB, T: 1024 * GIB };
const SIZE = /^(\d{1,16})(?:\.(\d{1,3}))?\s*(?:([KMGT])(?:i?B)?|B)?$/i;

/**
 * Parses a size: digits with an optional fraction and a binary unit (`K`, `M`, `G`, `T`, also
 * written `MiB` or `MB`).
 *
 * @returns Whole bytes, 0..2^53-1.
 * @throws {HearthError} `SIZE_INVALID`.
 */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim());
  const unit = UNIT_BYTES[(match?.[3] ?? '').toUpperCase()];
  const bytes = match && unit ? Number(`${match[1]}.${match[2] ?? '0'}`) * unit : Number.NaN;
  if (!Number.isSafeInteger(bytes)) {
    throw new HearthError('SIZE_INVALID', `not a size: ${JSON.stringify(text.slice(0, 64))}`, {
      hint: 'Write a whole number of bytes or a number with a unit, for example 512M or 4G.',
      details: { text: text.slice(0, 64) },
    });
  }
  return bytes;
}

/** A size for people, three digits at most and the largest unit that fits: `0 B`, `61.2 MiB`, `1 GiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return `${text.includes('.') ? text.replace(/\.?0+$/, '') : text} ${units[unit]}`;
}
