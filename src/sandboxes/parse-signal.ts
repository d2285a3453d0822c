import { constants } from 'node:os';
import { HearthError } from '../errors/index.js';

/**
 * A signal as people write it: `TERM`, `SIGTERM`, `15`.
 *
 * @returns Its number, 1..64.
 * @throws {HearthError} `USAGE_INVALID`.
 */
export function parseSignal(text: string): number {
  const upper = text.trim().toUpperCase();
  const byName = new Map<string, number>(Object.entries(constants.signals));
  const number = /^\d{1,2}$/.test(upper)
    ? Number(upper)
    : (byName.get(upper) ?? byName.get(`SIG${upper}`) ?? 0);
  if (number >= 1 && number <= 64) return number;
  throw new HearthError('USAGE_INVALID', `not a signal: ${JSON.stringify(text.slice(0, 32))}`, {
    hint: 'Name a signal such as TERM, KILL or INT, or give a number from 1 to 64.',
    details: { signal: text.slice(0, 32) },
  });
}
