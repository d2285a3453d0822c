import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadCatalog, parseCatalog, USER_CATALOG_FILE } from './catalog.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hearth-catalog-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function putUserCatalog(document: unknown): void {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  writeFileSync(join(directory, USER_CATALOG_FILE), text);
}

const ENTRY = {
  name: 'tools:1',
  aliases: ['tools'],
  version: '1.0.0',
  description: 'my tools',
  distribution: 'alpine',
  distributionVersion: '3.20',
  platform: 'linux-x86_64',
  kernel: 'debian-12-cloud',
  sources: [{ type: 'oci', reference: 'ghcr.io/me/tools:1' }],
};

describe('loadCatalog', () => {
  it('is the embedded one without a file of the user', async () => {
    const catalog = await loadCatalog(directory);
    expect(catalog.environments.map(({ name }) => name)).toEqual([
      'debian:12',
      'debian:12-base',
      'debian:12-build',
    ]);
    expect(catalog.find('debian:12')?.sources.map(({ type }) => type)).toEqual([
      'profile',
      'oci',
      'debian-packages',
    ]);
    expect(catalog.find('debian:12')?.sources.at(-1)).toMatchObject({ packages: ['git', 'ca-certificates'] });
    expect(catalog.find('nothing')).toBeUndefined();
  });

  it('is extended by the user, whose entries win over ours', async () => {
    putUserCatalog({ environments: [ENTRY, { ...ENTRY, name: 'debian:12', aliases: ['debian-bookworm'] }] });
    const catalog = await loadCatalog(directory);
    expect(catalog.find('tools')?.name).toBe('tools:1');
    expect(catalog.find('debian-bookworm')?.description).toBe('my tools');
    expect(catalog.find('debian:12-base')).toBeDefined();
    expect(catalog.defaultEnvironment).toBe('debian:12');
  });

  it('lets an alias of the user take one of ours', async () => {
    putUserCatalog({
      environments: [{ ...ENTRY, aliases: ['debian-bookworm'] }],
      defaultEnvironment: 'tools:1',
    });
    const catalog = await loadCatalog(directory);
    expect(catalog.find('debian-bookworm')?.name).toBe('tools:1');
    expect(catalog.find('debian:12')?.aliases).toEqual([]);
    expect(catalog.defaultEnvironment).toBe('tools:1');
  });

  it('is replaced when the file says so', async () => {
    putUserCatalog({ mode: 'replace', catalogVersion: '7', environments: [ENTRY] });
    const catalog = await loadCatalog(directory);
    expect(catalog.environments.map(({ name }) => name)).toEqual(['tools:1']);
    expect(catalog).toMatchObject({ version: '7', defaultEnvironment: 'tools:1', defaultKernel: undefined });
    expect(catalog.kernels).toEqual([]);
  });

  const malformed: [name: string, document: unknown, field: string][] = [
    ['not JSON', '{', ''],
    ['not an object', '[]', ''],
    ['an unknown field', { environment: [] }, ''],
    ['an unknown field of an entry', { environments: [{ ...ENTRY, sorces: [] }] }, 'environments.0'],
    ['no source', { environments: [{ ...ENTRY, sources: [] }] }, 'environments.0.sources'],
    ['a name with a path', { environments: [{ ...ENTRY, name: '../x' }] }, 'environments.0.name'],
    ['a version with a dash', { environments: [{ ...ENTRY, version: '1-2' }] }, 'environments.0.version'],
    [
      'a source of an unknown type',
      { environments: [{ ...ENTRY, sources: [{ type: 'ftp' }] }] },
      'environments.0.sources.0.type',
    ],
    [
      'an archive over http',
      { environments: [{ ...ENTRY, sources: [{ type: 'archive', url: 'http://x.example/a.tgz' }] }] },
      'environments.0.sources.0.url',
    ],
    [
      'a digest that is none',
      { environments: [{ ...ENTRY, sources: [{ ...ENTRY.sources[0], digest: 'sha256:1' }] }] },
      'environments.0.sources.0.digest',
    ],
    [
      'a profile with a path',
      { environments: [{ ...ENTRY, sources: [{ type: 'profile', profile: '../etc' }] }] },
      'environments.0.sources.0.profile',
    ],
    [
      'an option in place of a package',
      {
        environments: [
          { ...ENTRY, sources: [{ type: 'debian-packages', suite: 'bookworm', packages: ['--x'] }] },
        ],
      },
      'environments.0.sources.0.packages.0',
    ],
    ['a name twice', { environments: [ENTRY, ENTRY] }, 'environments'],
  ];
  it.each(malformed)('refuses %s and says where', async (_name, document, field) => {
    putUserCatalog(document);
    await expect(loadCatalog(directory)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { path: join(directory, USER_CATALOG_FILE), field },
    });
  });
});

describe('parseCatalog', () => {
  it('suggests names and aliases', () => {
    const catalog = parseCatalog({
      catalogVersion: '1',
      defaultEnvironment: 'tools:1',
      environments: [ENTRY],
      kernels: [],
    });
    expect(catalog.suggest('tols')).toContain('tools');
  });
});
