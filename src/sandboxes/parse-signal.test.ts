import { describe, expect, it } from 'vitest';
import { parseSignal } from './parse-signal.js';

describe('parseSignal', () => {
  it.each([
    ['TERM', 15],
    ['SIGKILL', 9],
    ['sigint', 2],
    ['1', 1],
    ['64', 64],
  ])('%s is %d', (text, number) => {
    expect(parseSignal(text)).toBe(number);
  });
  it.each(['', '0', '65', '-9', 'SIG', 'SIGSIGTERM', '9.5', 'constructor'])('refuses %j', (text) => {
    expect(() => parseSignal(text)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
  });
});
