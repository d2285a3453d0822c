import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hearthPaths } from '../fsx/index.js';
import { loadConfig, parseConfig } from './config.js';

describe('parseConfig', () => {
  it('reads every setting', async () => {
    const text = `
[run]
cpus = 2
memory = "1G"
accel = "tcg"
[registry]
insecure = ["localhost:5000"]
ca-file = "/ca.pem"
[registry.mirrors]
"docker.io" = ["m.example.org", "n.example.org"]
`;
    expect(await parseConfig(text, 'c')).toEqual({
      run: { cpus: 2, memory: '1G', accel: 'tcg' },
      registry: {
        insecure: ['localhost:5000'],
        caFile: '/ca.pem',
        mirrors: { 'docker.io': ['m.example.org', 'n.example.org'] },
      },
    });
  });

  it('reads an empty file', async () => {
    expect(await parseConfig('', 'c')).toEqual({ run: {}, registry: {} });
  });

  it.each([
    ['a misspelt table', '[runn]', 'runn'],
    ['a misspelt key', '[run]\ncpu = 2', 'run.cpu'],
    ['a wrong type', '[run]\ncpus = "2"', 'run.cpus'],
    ['a fraction', '[run]\ncpus = 1.5', 'run.cpus'],
    ['a table that is none', 'run = 1', 'run'],
    ['a date in place of a table', 'run = 2026-01-01', 'run'],
    ['a list with a number', '[registry]\ninsecure = ["a", 1]', 'registry.insecure'],
    ['a mirror that is no list', '[registry.mirrors]\n"docker.io" = "m"', 'registry.mirrors.docker.io'],
    ['malformed TOML', '[run]\ncpus = ', 'line 2'],
  ])('refuses %s', async (_name, text, where) => {
    await expect(parseConfig(text, '/c.toml')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { path: '/c.toml', where },
    });
  });
});

describe('loadConfig', () => {
  it('says nothing where there is no file, and reads the one there is', async () => {
    const home = await mkdtemp(join(tmpdir(), 'hearth-config-'));
    try {
      const paths = hearthPaths({ HEARTH_HOME: home });
      expect(await loadConfig(paths)).toEqual({ run: {}, registry: {} });
      await mkdir(paths.config);
      await writeFile(join(paths.config, 'config.toml'), '[run]\ncpus = 4\n');
      expect((await loadConfig(paths)).run).toEqual({ cpus: 4 });
    } finally {
      await rm(home, { recursive: true });
    }
  });
});
