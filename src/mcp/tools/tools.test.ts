import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeAll, connect, textOf, view } from '../connect.fixture.js';
import { FakeBackend } from '../fake-backend.fixture.js';
import type { Pins } from '../view.js';

const OURS = { labels: { 'hearth.client': 'mcp' }, defaults: { env: [], workdir: '/workspace', user: '' } };
const PROJECT = { project: { kind: 'directory', path: '/project' } } as const;

let backend: FakeBackend;
beforeEach(() => {
  backend = new FakeBackend();
  backend.add('box', OURS);
});
afterEach(closeAll);

const open = async (pins: Partial<Pins> = {}) => await connect(backend, view({}, pins));
const asked = (name: string): object | undefined =>
  backend.calls.findLast(([called]) => called === name)?.[1];

describe('file_read', () => {
  it.each([
    [24, 'a'.repeat(24), false, null],
    [25, 'a'.repeat(24), true, 24],
  ])('of %d bytes at a limit of 24', async (length, content, truncated, nextOffsetBytes) => {
    backend.files.set('/workspace/f', Buffer.alloc(length, 'a'));
    const { call } = await open({ outputBytes: 24 });
    const { structuredContent } = await call('file_read', { sandbox: 'box', path: 'f' });
    expect(structuredContent).toEqual({
      path: '/workspace/f',
      content,
      encoding: 'utf8',
      exact: true,
      sizeBytes: length,
      truncated,
      nextOffsetBytes,
    });
  });

  it('gives all of a text by its parts, however its characters lie', async () => {
    const text = 'aäb€c𝄞d'.repeat(20);
    backend.files.set('/f', Buffer.from(text));
    const { call } = await open({ outputBytes: 7 });
    let read = '';
    for (let offsetBytes: number | null = 0; offsetBytes !== null; ) {
      const { structuredContent } = await call('file_read', { sandbox: 'box', path: '/f', offsetBytes });
      const part = structuredContent as { content: string; nextOffsetBytes: number | null };
      read += part.content;
      offsetBytes = part.nextOffsetBytes;
    }
    expect(read).toBe(text);
  });

  it('shows what could hide as escapes, and bytes as base64', async () => {
    backend.files.set('/esc', Buffer.from('a\u001b[31mb\u202e'));
    backend.files.set('/bin', Buffer.from([0xff, 0x00]));
    const { call } = await open();
    expect((await call('file_read', { sandbox: 'box', path: '/esc' })).structuredContent).toMatchObject({
      content: 'ab\\u{202e}',
      exact: false,
    });
    expect((await call('file_read', { sandbox: 'box', path: '/bin' })).structuredContent).toMatchObject({
      content: '/wA=',
      encoding: 'base64',
    });
    expect(textOf(await call('file_read', { sandbox: 'box', path: '/none' }))).toContain(
      'GUEST_FILE_NOT_FOUND',
    );
  });
});

describe('file_write', () => {
  it.each([
    ['a new file', 'new', {}, 0o644, true],
    ['a new program', 'new', { executable: true }, 0o755, true],
    ['one that is there', 'old', {}, 0o755, false],
    ['one that shall be no program', 'old', { executable: false }, 0o644, false],
  ])('of %s', async (_what, path, more, mode, created) => {
    backend.files.set('/workspace/old', Buffer.from('old'));
    const { call } = await open();
    const result = await call('file_write', { sandbox: 'box', path, content: 'ä', ...more });
    expect(result.structuredContent).toEqual({ path: `/workspace/${path}`, sizeBytes: 2, created });
    expect(asked('file.write')).toEqual({
      sandbox: 'id-box',
      path: `/workspace/${path}`,
      mode,
      parents: true,
    });
  });
});

describe('workspace_diff', () => {
  const file = { path: 'a', change: 'modified', addedLines: 1, removedLines: 1 };
  const patch = '--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\n+y\n';

  it.each([
    ['that fits', patch, 100, patch, null],
    ['that does not', patch, 20, '--- a/a\n+++ b/a\n', '/tmp/hearth/workspace.patch'],
    ['with what could hide', `${patch}+\u202e\n`, 100, `${patch}+\\u{202e}\n`, '/tmp/hearth/workspace.patch'],
  ])('with a patch %s', async (_what, whole, outputBytes, shown, patchPath) => {
    backend.answers.set('workspace.diff', { patch: whole, files: [file], leftOutCount: 0 });
    const { call } = await open({ outputBytes });
    const result = await call('workspace_diff', { sandbox: 'box' });
    expect(result.structuredContent).toMatchObject({
      patch: shown,
      patchBytes: Buffer.byteLength(whole),
      truncated: outputBytes < 50,
      patchPath,
      total: 1,
    });
    expect(backend.files.get('/tmp/hearth/workspace.patch')?.toString()).toBe(
      patchPath === null ? undefined : whole,
    );
    expect(textOf(result)).toContain('modified a +1 -1');
  });

  it('of 201 files lists 200 and says how many there are', async () => {
    const files = Array.from({ length: 201 }, (_, index) => ({ ...file, path: `f${index}` }));
    backend.answers.set('workspace.diff', { patch, files, leftOutCount: 0 });
    const { call } = await open();
    const { structuredContent } = await call('workspace_diff', { sandbox: 'box' });
    const shown = structuredContent as { files: object[]; total: number };
    expect([shown.files.length, shown.total]).toEqual([200, 201]);
  });
});

describe('sandbox_summary', () => {
  const told = '# box\n\n## Commands\n\n- `make`\n';

  it.each([
    ['that fits', told, 100, told],
    ['that does not', told, 12, '# box\n\n'],
    ['with what could hide', `${told}\u202e\n`, 100, `${told}\\u{202e}\n`],
  ])('with a text %s', async (_what, text, outputBytes, shown) => {
    const counts = { commandCount: 1, failedCommandCount: 0 };
    backend.answers.set('sandbox.summary', {
      state: 'stopped',
      since: '2020-01-01T00:00:00Z',
      text,
      ...counts,
    });
    const { call } = await open({ outputBytes });
    const result = await call('sandbox_summary', { sandbox: 'box' });
    expect(result.structuredContent).toMatchObject({
      ...counts,
      sandbox: 'box',
      text: shown,
      textBytes: Buffer.byteLength(text),
      truncated: outputBytes < 20,
    });
    expect(textOf(result)).toContain(shown);
  });
});

describe('sandbox_fork', () => {
  it.each([
    [1, false],
    [2, true],
  ])('of %d where one more fits', async (count, isError) => {
    backend.answers.set('sandbox.fork', { sandboxes: [], pauseMs: 0 });
    const { call } = await open({ maxSandboxes: 2 });
    const result = await call('sandbox_fork', { sandbox: 'box', count });
    expect(result.isError ?? false).toBe(isError);
    expect(asked('sandbox.fork') !== undefined).toBe(!isError);
  });
});

describe('the network that the operator gives', () => {
  const network = { network: 'public', allowHosts: ['example.org'] } as const;

  it('is that of every VM, and told to the model', async () => {
    const { call, client } = await open({ network });
    await call('run', { command: 'true' });
    expect(asked('runOnce')).toMatchObject({ network });
    await call('sandbox_create', {});
    expect(asked('sandbox.create')).toMatchObject(network);
    expect(client.getInstructions()).toContain('public hosts');
  });

  it.each([
    ['sandbox_create', { network: 'public' }],
    ['sandbox_create', { allowHosts: ['*'] }],
    ['sandbox_create', { workspace: { seedPath: '/etc' } }],
    ['sandbox_create', { project: true }],
    ['sandbox_create', { ports: [80] }],
    ['run', { network: 'public', command: 'x' }],
    ['workspace_diff', { sandbox: 'box', source: '/etc' }],
  ])('is not widened by %s with %j', async (tool, args) => {
    const { call } = await open();
    expect(textOf(await call(tool, args))).toContain('REQUEST_INVALID');
    expect(backend.calls).toEqual([]);
  });
});

describe('the project that the operator gives', () => {
  it.each([
    [{}, { seedPath: '/project' }],
    [{ project: true }, { seedPath: '/project' }],
    [{ project: false }, {}],
  ])('with %j', async (args, workspace) => {
    const { call, client } = await open(PROJECT);
    await call('sandbox_create', args);
    expect(asked('sandbox.create')).toMatchObject({ workspace });
    expect(client.getInstructions()).toContain('/project');
  });

  it('is all that can be pushed', async () => {
    backend.answers.set('workspace.push', { entryCount: 1, sizeBytes: 2 });
    const { call } = await open(PROJECT);
    expect(textOf(await call('workspace_push', { sandbox: 'box', source: '/etc' }))).toContain(
      'REQUEST_INVALID',
    );
    await call('workspace_push', { sandbox: 'box' });
    expect(asked('workspace.push')).toEqual({ sandbox: 'id-box', source: '/project' });
    const without = await open();
    const { tools } = await without.client.listTools();
    expect(tools.map(({ name }) => name)).not.toContain('workspace_push');
  });
});

it('ports are published where the operator lets them', async () => {
  const { call } = await open({ allowPorts: true });
  await call('sandbox_create', { ports: [80, 8080] });
  expect(asked('sandbox.create')).toMatchObject({ ports: ['80', '8080'] });
});

describe('service_start', () => {
  const service = { name: 'web', state: 'running', readyAt: null, exitCode: null, ports: [] };

  it.each([
    [
      { kind: 'tcp', port: 80 },
      { kind: 'tcp', port: 80 },
    ],
    [
      { kind: 'command', command: 'true' },
      { kind: 'command', argv: ['/bin/sh', '-c', 'true'] },
    ],
  ])('waits for %j', async (ready, waited) => {
    backend.answers.set('service.start', { service });
    const { call } = await open();
    const args = { sandbox: 'box', name: 'web', command: 'serve', ready, readySeconds: 1.5 };
    expect((await call('service_start', args)).structuredContent).toMatchObject({ service: { name: 'web' } });
    expect(asked('service.start')).toEqual({
      sandbox: 'id-box',
      name: 'web',
      argv: ['/bin/sh', '-c', 'serve'],
      ready: waited,
      readyTimeoutMs: 1500,
    });
    expect(textOf(await call('service_start', { ...args, ports: [80] }))).toContain('REQUEST_INVALID');
  });
});

describe('a shell', () => {
  const got = { cursor: 9, lostBytes: 0, truncated: false, idle: true, running: true, exitCode: null };

  it('gives what was written since the cursor, harmless, and no more than fits', async () => {
    backend.answers.set('shell.write', {});
    backend.answers.set('shell.read', { output: 'x\u202e\n', ...got });
    const { call } = await open({ outputBytes: 100 });
    const args = { sandbox: 'box', shell: 3, input: 'ls', cursor: 4, waitSeconds: 2 };
    const result = await call('shell_write', args);
    expect(result.structuredContent).toEqual({ shell: 3, output: 'x\\u{202e}\n', ...got });
    expect(asked('shell.write')).toEqual({ sandbox: 'id-box', shell: 3, input: 'ls', newline: true });
    expect(asked('shell.read')).toMatchObject({ cursor: 4, maxBytes: 100, plain: true, timeoutMs: 2000 });
    expect(textOf(result)).toMatch(/^shell 3 is idle, cursor 9\n/);
  });
});
