import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FreeSpace } from './free-space.js';

function spaceOf(...runs: ReadonlyArray<readonly [start: number, end: number]>): FreeSpace {
  const free = new FreeSpace();
  for (const [start, end] of runs) free.append(start, end);
  return free;
}

describe('FreeSpace', () => {
  it('joins runs that touch and ignores empty ones', () => {
    expect([...spaceOf([1, 1], [2, 5], [5, 7], [9, 9], [10, 11]).runs()]).toEqual([
      [2, 7],
      [10, 11],
    ]);
  });

  it.each([
    ['the first run that is long enough', 4, 0, 20],
    ['the first from a place on', 2, 5, 10],
    ['from the middle of a run', 2, 21, 21],
    ['from the start when nothing follows', 3, 40, 0],
    ['from the start when what follows is too short', 5, 22, 20],
  ])('takes %s', (_name, count, from, expected) => {
    expect(spaceOf([0, 3], [10, 12], [20, 25]).takeRun(count, from)).toBe(expected);
  });

  it('has no run when all are too short', () => {
    const free = spaceOf([0, 3], [10, 12]);
    expect(free.takeRun(4)).toBeUndefined();
    expect(free.takeRun(4, 11)).toBeUndefined();
    expect(spaceOf().takeRun(1)).toBeUndefined();
    expect([...free.runs()]).toEqual([
      [0, 3],
      [10, 12],
    ]);
  });

  it('takes blocks wherever they lie, all or none', () => {
    const free = spaceOf([0, 3], [10, 12], [20, 25]);
    expect(free.takeBlocks(11)).toBeUndefined();
    expect(free.takeBlocks(0)).toEqual([]);
    expect(free.takeBlocks(3)).toEqual([0, 3]);
    expect(free.takeBlocks(4)).toEqual([10, 2, 20, 2]);
    expect([...free.runs()]).toEqual([[22, 25]]);
    expect(free.takeBlocks(3)).toEqual([22, 3]);
    expect([...free.runs()]).toEqual([]);
  });

  it('never gives a block twice and loses none', () => {
    const requests = fc.array(fc.record({ count: fc.nat(9), from: fc.nat(120), run: fc.boolean() }));
    const gaps = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 12 })), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(gaps, requests, (layout, takes) => {
        const free = new FreeSpace();
        const left = new Set<number>();
        let end = 0;
        for (const [gap, length] of layout) {
          free.append(end + gap, end + gap + length);
          for (let i = 0; i < length; i++) left.add(end + gap + i);
          end += gap + length;
        }
        for (const { count, from, run } of takes) {
          if (run && count === 0) continue;
          const start = run ? free.takeRun(count, from) : undefined;
          const runs = run ? (start === undefined ? [] : [start, count]) : (free.takeBlocks(count) ?? []);
          for (let i = 0; i < runs.length; i += 2) {
            for (let j = 0; j < (runs[i + 1] ?? 0); j++) expect(left.delete((runs[i] ?? 0) + j)).toBe(true);
          }
        }
        const remaining = [...free.runs()].flatMap(([start, stop]) =>
          Array.from({ length: stop - start }, (_, i) => start + i),
        );
        expect(remaining).toEqual([...left].sort((a, b) => a - b));
      }),
    );
  });
});
