import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parseRollup } from './idle-memory.js';

describe('parseRollup', () => {
  it('reads what the kernel says of this very process', async () => {
    const memory = parseRollup(await readFile('/proc/self/smaps_rollup', 'utf8'));
    expect(memory?.privateBytes).toBeGreaterThan(0);
    expect(memory?.proportionalBytes).toBeGreaterThan(0);
  });

  it('tells dirty from clean', () => {
    const text = 'Pss:   20 kB\nPss_Dirty:  9 kB\nPrivate_Clean:  5 kB\nPrivate_Dirty:   7 kB\n';
    expect(parseRollup(text)).toEqual({ privateBytes: 7 * 1024, proportionalBytes: 20 * 1024 });
  });

  it.each(['', 'Pss: 1 kB\n', 'Private_Dirty: x kB\nPss: 1 kB\n'])('is nothing for %j', (text) => {
    expect(parseRollup(text)).toBeUndefined();
  });
});
