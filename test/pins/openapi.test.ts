/**
 * docs/openapi.json holds every operation, route, field and error code. `npx vitest run --project unit test/pins -u`
 * writes it again; what changes there changes for users.
 */
import { expect, it } from 'vitest';
import {
  DOWNLOAD_OPERATIONS,
  OPERATIONS,
  openApiDocument,
  PROCESS_OPERATIONS,
  UPLOAD_OPERATIONS,
} from '../../src/contract/index.js';
import { ERROR_CODES } from '../../src/errors/index.js';
import { packageVersion } from '../../src/fsx/index.js';

const document = openApiDocument(packageVersion()) as {
  readonly paths: Readonly<Record<string, unknown>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, { properties: { code: { enum: unknown } } }>>;
  };
};

it('is what docs/openapi.json says', async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../../docs/openapi.json');
});

it('has every operation and every error code', () => {
  const tables = [OPERATIONS, PROCESS_OPERATIONS, DOWNLOAD_OPERATIONS, UPLOAD_OPERATIONS];
  const operations = tables.flatMap((table) => Object.keys(table));
  expect(Object.keys(document.paths)).toEqual(
    expect.arrayContaining(operations.map((name) => `/v1/${name}`)),
  );
  expect(document.components.schemas.Error?.properties.code.enum).toEqual(Object.keys(ERROR_CODES));
});

it('refers only to what it holds', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/([^"]+)"/g)];
  expect(references.length).toBeGreaterThan(0);
  for (const [, path = ''] of references) {
    const found = path
      .split('/')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document.components);
    expect(found, path).toBeDefined();
  }
});
