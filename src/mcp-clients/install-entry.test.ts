import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { CLIENT_NAMES, CLIENTS, type ClientName } from './clients.js';
import { inspectClient, repairClient } from './inspect-client.js';
import { type InstallOptions, installEntry, printableConfig } from './install-entry.js';

let home: string;
let options: InstallOptions;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hearth-clients-'));
  const script = join(home, 'main.js');
  await writeFile(script, '#!/bin/sh\n', { mode: 0o755 });
  options = {
    home,
    cwd: join(home, 'project'),
    env: { PATH: home },
    scope: 'user',
    entryName: 'hearth',
    launcher: { program: [process.execPath, script], env: {} },
    options: ['--image', 'debian:12'],
    dryRun: false,
  };
});
afterEach(async () => {
  await rm(home, { recursive: true });
});

const pathOf = (name: ClientName): string => CLIENTS[name].path('user', options) ?? '';
const inspected = () => ({
  ...options,
  checkOptions: (words: readonly string[]) => {
    if (words.includes('--bad')) throw new HearthError('USAGE_INVALID', 'no --bad');
  },
});

async function write(name: ClientName, text: string): Promise<string> {
  const path = pathOf(name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text, { mode: 0o640 });
  return path;
}

describe.each(CLIENT_NAMES)('%s', (name) => {
  it('gets an entry where there was no file, which is then in order, and is not written twice', async () => {
    const first = await installEntry(name, options);
    expect(first).toEqual({ path: pathOf(name), changed: true, backup: undefined });
    expect((await stat(first.path)).mode & 0o777).toBe(0o600);
    expect(await readFile(first.path, 'utf8')).toBe(await printableConfig(name, options));
    expect(await inspectClient(name, inspected())).toMatchObject({
      state: 'ok',
      problems: [],
      options: ['--image', 'debian:12'],
    });
    expect(await installEntry(name, options)).toMatchObject({ changed: false, backup: undefined });
    expect((await readdir(dirname(first.path))).filter((file) => file.includes('hearth'))).toEqual([]);
  });

  it('that starts a program that is gone, with options that are none, is repaired', async () => {
    const gone = { ...options, launcher: { program: ['/gone/node', '/gone/main.js'], env: {} } } as const;
    await installEntry(name, { ...gone, options: ['--bad'] });
    const report = await inspectClient(name, inspected());
    expect(report).toMatchObject({
      state: 'drifted',
      problems: ['there is no program /gone/node', 'its options are refused: no --bad'],
    });
    await repairClient(report, { ...inspected(), dryRun: false });
    expect(await inspectClient(name, inspected())).toMatchObject({ state: 'ok', options: [] });
  });
});

describe('what was there before', () => {
  it('stays byte for byte, with its mode, behind a link, and is kept beside it', async () => {
    const text = '{ "numbers": 1.0,\n   "mcpServers" : { "other": {"command":"o"} } }\n';
    const real = join(home, 'dotfiles.json');
    await writeFile(real, text, { mode: 0o640 });
    await symlink(real, pathOf('claude-code'));
    const { backup } = await installEntry('claude-code', options);
    expect(backup).toBe(`${real}.hearth-backup`);
    expect(await readFile(backup ?? '', 'utf8')).toBe(text);
    const after = await readFile(real, 'utf8');
    expect(after.startsWith('{ "numbers": 1.0,\n   "mcpServers" : { "other": {"command":"o"},')).toBe(true);
    expect((await stat(real)).mode & 0o777).toBe(0o640);
  });

  it('in an entry of ours stays too, but for our fields', async () => {
    const path = await write(
      'cursor',
      '{"mcpServers":{"hearth":{"command":"old","autoApprove":["run"],"env":{"A":"b"}}}}',
    );
    await installEntry('cursor', options);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      mcpServers: {
        hearth: expect.objectContaining({
          command: process.execPath,
          autoApprove: ['run'],
          env: { A: 'b' },
        }),
      },
    });
  });

  it('is not touched by a dry run', async () => {
    const path = await write('codex', 'model = "m"\n');
    expect(await installEntry('codex', { ...options, dryRun: true })).toMatchObject({ changed: true });
    expect(await readFile(path, 'utf8')).toBe('model = "m"\n');
    expect(await readdir(dirname(path))).toEqual(['config.toml']);
  });

  it.each<[string, ClientName, string]>([
    ['comments', 'vscode', '{\n  // mine\n  "servers": {}\n}\n'],
    ['trailing commas', 'opencode', '{"mcp": {},}'],
    ['no JSON', 'cursor', '{"mcpServers": '],
    ['a list', 'cursor', '[]'],
    ['a parent that is no object', 'cursor', '{"mcpServers": []}'],
    ['an entry that is no object', 'cursor', '{"mcpServers": {"hearth": 1}}'],
    ['no TOML', 'codex', 'a = '],
    ['an inline table', 'codex', 'mcp_servers = { hearth = { command = "x" } }\n'],
    ['a header inside of a text', 'codex', 'a = """\n[mcp_servers.hearth]\n"""\n'],
  ])('with %s is refused and stays', async (_what, name, text) => {
    const path = await write(name, text);
    await expect(installEntry(name, options)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await readFile(path, 'utf8')).toBe(text);
  });
});

describe('the doctor', () => {
  it.each<[string, string, object]>([
    ['no entry', '{}', { state: 'absent', problems: [] }],
    ['no JSON', '{', { state: 'unreadable' }],
    [
      'an entry by URL',
      '{"mcpServers":{"hearth":{"url":"http://x"}}}',
      { state: 'drifted', problems: ['it does not start `hearth mcp`'] },
    ],
    [
      'something else',
      '{"mcpServers":{"hearth":{"type":"stdio","command":"/bin/sh","args":["-c","mcp"]}}}',
      { state: 'drifted' },
    ],
    [
      'another form',
      '{"mcpServers":{"hearth":{"type":"sse","command":"main.js","args":["mcp"]}}}',
      { state: 'drifted', problems: ['its fields are not the ones that this client takes'] },
    ],
    [
      'this program by its name',
      '{"mcpServers":{"hearth":{"type":"stdio","command":"main.js","args":["mcp"]}}}',
      { state: 'ok' },
    ],
    [
      'one that is switched off',
      '{"mcpServers":{"hearth":{"type":"stdio","command":"main.js","args":["mcp"],"disabled":true}}}',
      { state: 'off' },
    ],
  ])('tells of %s', async (_what, text, report) => {
    await write('cursor', text);
    expect(await inspectClient('cursor', inspected())).toMatchObject(report);
  });

  it('wants the same home of hearth', async () => {
    await installEntry('codex', options);
    const launcher = { ...options.launcher, env: { HEARTH_HOME: '/h' } };
    expect(await inspectClient('codex', { ...inspected(), launcher })).toMatchObject({
      state: 'drifted',
      problems: ['it runs with another HEARTH_HOME: none instead of /h'],
    });
  });
});

describe('where', () => {
  it('OpenCode has a file with comments allowed, that one is used; and its newer form is kept', async () => {
    const jsonc = join(home, '.config', 'opencode', 'opencode.jsonc');
    await mkdir(dirname(jsonc), { recursive: true });
    await writeFile(jsonc, '{"mcp":{"servers":{"other":{"type":"local","command":["x"]}}}}');
    expect((await installEntry('opencode', options)).path).toBe(jsonc);
    const { mcp } = JSON.parse(await readFile(jsonc, 'utf8')) as { mcp: { servers: object } };
    expect(Object.keys(mcp.servers)).toEqual(['other', 'hearth']);
  });

  it('a project has its own configuration, and Claude Desktop none', async () => {
    const scoped = { ...options, scope: 'project' } as const;
    expect((await installEntry('claude-code', scoped)).path).toBe(join(options.cwd, '.mcp.json'));
    await expect(installEntry('claude-desktop', scoped)).rejects.toMatchObject({ code: 'USAGE_INVALID' });
  });
});
