import { expect, it } from 'vitest';

const { fuzz, TARGETS } = (await import(new URL('./run.mjs', import.meta.url).href)) as {
  fuzz(target: string, seed: number, runs: number): Promise<void>;
  TARGETS: readonly string[];
};

it.each(TARGETS)('finds nothing in the first runs: %s', async (target) => {
  await expect(fuzz(target, 1, 1000)).resolves.toBeUndefined();
});
