import { defineConfig } from 'vitest/config';

const REAL_PARTS_TIMEOUT_MS = 300_000;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/pins/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'parts',
          include: ['test/**/*.test.ts'],
          exclude: ['test/pins/**', 'test/vm/**', 'test/fixtures/**'],
          testTimeout: REAL_PARTS_TIMEOUT_MS,
          hookTimeout: REAL_PARTS_TIMEOUT_MS,
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
        },
      },
    ],
  },
});
