import { describe, expect, it } from 'vitest';
import { figure, median, ratio } from './samples.js';

describe('median', () => {
  it.each([
    [[5], 5],
    [[1, 2], 1.5],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
  ])('of %j is %d', (samples, expected) => expect(median(samples)).toBe(expected));
});

describe('figure and ratio', () => {
  const figures = [figure('warm', 'run', [30.04, 10, 20]), figure('cold', 'run --cold', [60, 50])];

  it('keep the samples in their order', () => {
    expect(figures[0]).toEqual({
      name: 'warm',
      command: 'run',
      medianMs: 20,
      leastMs: 10,
      mostMs: 30,
      samplesMs: [30, 10, 20],
    });
  });

  it('compare medians', () => {
    expect(ratio(figures, 'cold', 'warm')).toBe(2.75);
    expect(ratio(figures, 'warm', 'cold')).toBe(0.36);
    expect(ratio(figures, 'warm', 'podman')).toBeNull();
    expect(ratio([figure('zero', '', [0])], 'zero', 'zero')).toBeNull();
  });
});
