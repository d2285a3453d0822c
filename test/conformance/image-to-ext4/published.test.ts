import { readFile, writeFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { publishedPage } from './published.js';

const page = new URL('../../../docs/conformance.md', import.meta.url);

it('docs/conformance.md is what the tables say', async () => {
  if (process.env.HEARTH_PUBLISH === '1') await writeFile(page, publishedPage());
  expect(await readFile(page, 'utf8')).toBe(publishedPage());
});
