import { defineConfig } from 'vitest/config';

const REAL_PARTS_TIMEOUT_MS = 300_000;
const UNIT_TIMEOUT_MS = 120_000;
/** How long `expect.poll` waits for a state: a limit for what never comes, not for a busy machine. */
const expect = { poll: { timeout: 60_000 } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/pins/**/*.test.ts'],
          testTimeout: UNIT_TIMEOUT_MS,
          hookTimeout: UNIT_TIMEOUT_MS,
          expect,
        },
      },
      {
        test: {
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: ['test/pins/**', 'test/vm/**', 'test/fixtures/**'],
          testTimeout: REAL_PARTS_TIMEOUT_MS,
          hookTimeout: REAL_PARTS_TIMEOUT_MS,
          expect,
        },
      },
      {
        test: {
          name: 'vm',
          globalSetup: ['test/support/vm-setup.ts'],
          include: ['test/vm/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: REAL_PARTS_TIMEOUT_MS,
          hookTimeout: REAL_PARTS_TIMEOUT_MS,
          expect,
        },
      },
    ],
  },
});
