import type { z } from 'zod';
import { HearthError } from '../errors/index.js';

const SHOWN_ISSUES = 5;

/**
 * Reads what a caller sent.
 *
 * @throws {HearthError} `REQUEST_INVALID` naming the fields; their values are not repeated.
 */
export function parseInput<T extends z.ZodType>(operation: string, schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, SHOWN_ISSUES).map(({ path, message }) => ({
    field: path.map(String).join('.').slice(0, 64),
    problem: message.slice(0, 200),
  }));
  const said = issues
    .map(({ field, problem }) => `${field === '' ? 'request' : field}: ${problem}`)
    .join('; ');
  throw new HearthError('REQUEST_INVALID', `${operation}: ${said}`, {
    hint: 'Correct the named fields.',
    details: { operation, issues },
  });
}
