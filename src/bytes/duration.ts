/** Durations as people write them: `30s`, `5m`, `1h30m`, `250ms`; inside hearth they are milliseconds. */
import { HearthError } from '../errors/index.js';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
/** The longest wait that a Node timer can hold, in ms. */
export const MAX_DURATION_MS = 2 ** 31 - 1;

/**
 * Parses a duration: numbers with units, added up; a bare number is seconds.
 *
 * @returns Whole milliseconds, 0..{@link MAX_DURATION_MS}.
 * @throws {HearthError} `DURATION_INVALID`.
 */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  let totalMs = Number.NaN;
  if (/^\d{1,16}(?:\.\d{1,9})?$/.test(trimmed)) totalMs = Number(trimmed) * 1000;
  else if (trimmed.length <= 64 && WHOLE.test(trimmed)) {
    totalMs = 0;
    for (const [, number, unit] of trimmed.matchAll(PART))
      totalMs += Number(number) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
  }
  const ms = Math.round(totalMs);
  if (!(ms >= 0 && ms <= MAX_DURATION_MS)) {
    throw new HearthError('DURATION_INVALID', `not a duration: ${JSON.stringify(text.slice(0, 64))}`, {
      hint: 'Write a number with a unit, for example 30s, 5m or 1h; the longest is 24 days.',
      details: { text: text.slice(0, 64) },
    });
  }
  return ms;
}

/** A duration for people: `840 ms`, `3.1 s`, `2 m 05 s`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`;
}
