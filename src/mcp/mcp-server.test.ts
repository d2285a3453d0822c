import type { CallToolResult } from '@modelcontextprotocol/server';
import { afterEach, describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { closeAll, connect, textOf, view } from './connect.fixture.js';
import { FakeBackend } from './fake-backend.fixture.js';
import { toolNamesOf } from './tool-names.js';
import { toolsOf } from './tools/index.js';
import { DEFAULT_PINS, MODES, PROFILES } from './view.js';

const PROJECT = { project: { kind: 'directory', path: '/project' } } as const;
afterEach(closeAll);

describe('profiles and modes', () => {
  it('show at most ten tools by default', () => {
    expect(toolNamesOf(view({ profile: 'core' })).length).toBeLessThanOrEqual(10);
    expect(toolNamesOf(view({ profile: 'run' }))).toEqual(['run']);
  });

  it.each(PROFILES.flatMap((profile) => [undefined, ...MODES].map((mode) => ({ profile, mode }))))(
    '$profile, $mode: optional fields are all that is hidden, and full shows all',
    ({ profile, mode }) => {
      const shown = view({ profile, ...(mode === undefined ? {} : { mode }) });
      const full = new Map(toolsOf(view()).map((tool) => [tool.name, tool.inputSchema(view())]));
      for (const tool of toolsOf(shown)) {
        const fields = Object.keys(tool.inputSchema(shown).shape);
        const all = full.get(tool.name)?.shape ?? {};
        expect(Object.keys(all)).toEqual(expect.arrayContaining(fields));
        for (const [field, schema] of Object.entries(all)) {
          if (!fields.includes(field))
            expect([tool.name, field, schema.safeParse(undefined).success]).toEqual([tool.name, field, true]);
        }
      }
    },
  );

  it('have a result for every mode that a sandbox can be made in', () => {
    for (const mode of MODES) expect(toolNamesOf(view({ mode }))).toContain('sandbox_exec');
  });
});

describe('what the operator has fixed', () => {
  it.each([
    ['an image', { images: ['debian:12'] }, 'image', { image: 'evil' }],
    ['processors', { cpus: 2 }, 'cpus', { cpus: 8 }],
    ['memory', { memoryMib: 256 }, 'memoryMib', { memoryMib: 9999 }],
    ['a disk', { diskBytes: 1024 ** 3 }, 'diskMib', { diskMib: 9999 }],
  ])('%s is no field, and refused as one', async (_what, pins, field, args) => {
    const backend = new FakeBackend();
    const { call, client } = await connect(backend, view({}, pins));
    const { tools } = await client.listTools();
    for (const { inputSchema } of tools) expect(inputSchema.properties ?? {}).not.toHaveProperty(field);
    for (const tool of ['run', 'sandbox_create']) {
      const result = await call(tool, { command: 'true', ...args });
      expect([result.isError, textOf(result)]).toEqual([true, expect.stringContaining('REQUEST_INVALID')]);
    }
    expect(backend.calls).toEqual([]);
  });

  it('is what a VM gets', async () => {
    const backend = new FakeBackend();
    const pins = { images: ['debian:12'], cpus: 2, memoryMib: 256, diskBytes: 4096, maxTimeoutMs: 1000 };
    const { call } = await connect(backend, view({ profile: 'core' }, pins));
    await call('run', { command: 'true' });
    expect(backend.calls.at(-1)).toEqual([
      'runOnce',
      expect.objectContaining({
        image: 'debian:12',
        cpus: 2,
        memoryMib: 256,
        diskBytes: 4096,
        timeoutMs: 1000,
      }),
    ]);
    await call('sandbox_create', { name: 'x' });
    expect(backend.calls).toContainEqual([
      'sandbox.create',
      {
        image: 'debian:12',
        name: 'x',
        cpus: 2,
        memoryMib: 256,
        diskBytes: 4096,
        idleTimeoutMs: DEFAULT_PINS.idleTimeoutMs,
        labels: { 'hearth.client': 'mcp' },
        workspace: {},
      },
    ]);
  });

  it('of several images any may be chosen, and no other', async () => {
    const backend = new FakeBackend();
    const { call } = await connect(backend, view({}, { images: ['debian:12', 'alpine:3.20'] }));
    expect((await call('sandbox_create', { image: 'alpine:3.20' })).isError).toBeUndefined();
    expect(textOf(await call('sandbox_create', { image: 'other' }))).toContain('REQUEST_INVALID');
    const listed = await call('environment_list');
    expect(listed.structuredContent).toMatchObject({ total: 2 });
  });

  it.each([
    [1, true],
    [1.001, false],
    [0, false],
  ])('of time: %d s of 1 are taken: %s', async (timeoutSeconds, taken) => {
    const { call } = await connect(new FakeBackend(), view({}, { maxTimeoutMs: 1000 }));
    const result = await call('run', { command: 'true', timeoutSeconds });
    expect(result.isError ?? false).toBe(!taken);
  });

  it('of sandboxes: the last one fits, the next is told which to remove', async () => {
    const backend = new FakeBackend();
    const { call } = await connect(backend, view({}, { maxSandboxes: 1 }));
    backend.add('not-ours');
    expect((await call('sandbox_create', { name: 'one' })).isError).toBeUndefined();
    const refused = await call('sandbox_create', { name: 'two' });
    expect(textOf(refused)).toMatch(/SANDBOXES_TOO_MANY.*sandbox_remove: one/s);
  });

  it('the sandboxes of others are not seen, run in, stopped or removed', async () => {
    const backend = new FakeBackend();
    backend.add('private');
    const { call } = await connect(backend);
    expect((await call('sandbox_list')).structuredContent).toMatchObject({ total: 0 });
    const given = {
      command: 'id',
      path: '/x',
      content: '',
      patch: 'x',
      name: 'x',
      shell: 1,
      input: 'x',
      cursor: 0,
    };
    const tools = toolsOf(view({}, PROJECT)).filter((tool) => 'sandbox' in tool.inputSchema(view()).shape);
    expect(tools.length).toBeGreaterThan(10);
    const { call: ask } = await connect(backend, view({}, PROJECT));
    for (const tool of tools) {
      const fields = Object.keys(tool.inputSchema(view()).shape);
      const args = Object.entries(given).filter(([field]) => fields.includes(field));
      const result = await ask(tool.name, { sandbox: 'private', ...Object.fromEntries(args) });
      expect([tool.name, textOf(result)]).toEqual([tool.name, expect.stringContaining('SANDBOX_NOT_FOUND')]);
    }
    expect(backend.sandboxes).toHaveLength(1);
    expect(backend.calls.filter(([name]) => name !== 'sandbox.inspect' && name !== 'sandbox.list')).toEqual(
      [],
    );
    const all = await connect(backend, view({}, { allSandboxes: true }));
    expect((await all.call('sandbox_list')).structuredContent).toMatchObject({ total: 1 });
  });
});

describe('a command', () => {
  const ours = { labels: { 'hearth.client': 'mcp' } };

  it('of a sandbox that is stopped starts it first', async () => {
    const backend = new FakeBackend();
    backend.add('box', { ...ours, state: 'stopped' });
    backend.respond = () => ({ stdout: 'out', stderr: 'err', exit: { exitCode: 3 } });
    const { call } = await connect(backend);
    const result = await call('sandbox_exec', { sandbox: 'box', command: 'make' });
    expect(result.structuredContent).toMatchObject({
      exitCode: 3,
      stdout: 'out',
      stderr: 'err',
      truncated: false,
    });
    expect(textOf(result)).toMatch(/^exit code 3 after [\d.]+ s\n--- stdout, 3 bytes ---\nout\n/);
    expect(backend.calls.map(([name]) => name)).toContain('sandbox.start');
  });

  it.each([
    [24, false],
    [25, true],
  ])('with %d bytes of output at a limit of 24: truncated %s', async (length, truncated) => {
    const backend = new FakeBackend();
    backend.add('box', ours);
    const stdout = 'abcdefghijklmnopqrstuvwxyz'.slice(0, length);
    backend.respond = () => ({ stdout });
    const { call } = await connect(backend, view({}, { outputBytes: 24 }));
    const { structuredContent, ...result } = await call('sandbox_exec', { sandbox: 'box', command: 'x' });
    const path = truncated ? '/tmp/hearth/exec-7-stdout.log' : null;
    expect(structuredContent).toMatchObject({
      truncated,
      stdoutBytes: length,
      stdoutPath: path,
      stderrPath: null,
    });
    expect(textOf(result as CallToolResult).includes('/tmp/hearth')).toBe(truncated);
    expect(backend.files.get(path ?? '')?.toString()).toBe(truncated ? stdout : undefined);
  });

  it.each(['run', 'sandbox_exec'])('%s that is cancelled is killed', async (name) => {
    const backend = new FakeBackend();
    backend.add('box', ours);
    backend.respond = () => ({ hangs: true });
    const { client } = await connect(backend);
    const cancel = new AbortController();
    const args = { command: 'sleep inf', ...(name === 'run' ? {} : { sandbox: 'box' }) };
    const call = client.callTool({ name, arguments: args }, { signal: cancel.signal });
    await expect
      .poll(() => backend.calls.some(([asked]) => asked === 'runOnce' || asked === 'exec.start'))
      .toBe(true);
    cancel.abort();
    await expect(call).rejects.toThrow();
    await expect.poll(() => backend.killed).toBe(1);
  });

  it('is ended, and waited for, when the server ends', async () => {
    const backend = new FakeBackend();
    backend.respond = () => ({ hangs: true });
    const { calls, call } = await connect(backend);
    const running = call('run', { command: 'sleep inf' });
    await expect.poll(() => backend.calls.length).toBe(1);
    await calls.close(10_000);
    expect(backend.killed).toBe(1);
    expect((await running).isError).toBe(true);
    expect((await call('run', { command: 'true' })).isError).toBe(true);
  });
});

describe('errors', () => {
  it('tell a model what to do with the tools it has', async () => {
    const { call } = await connect(new FakeBackend());
    const result = await call('sandbox_create', { image: 'none' });
    expect(textOf(result)).toBe(
      'error[ENVIRONMENT_NOT_FOUND]: unknown environment none\nhint: Call environment_list for the names there are.',
    );
    expect(result._meta).toMatchObject({
      'hearth/error': { code: 'ENVIRONMENT_NOT_FOUND', kind: 'notFound' },
    });
  });

  it('name no tool that is not there, and leave commands of the host to the user', async () => {
    const backend = new FakeBackend();
    backend.startFails = new HearthError('VMM_NOT_FOUND', 'no qemu', { hint: 'Run `hearth doctor`.' });
    const { call } = await connect(backend, view({ mode: 'inspect' }));
    expect(textOf(await call('sandbox_exec', { sandbox: 'no', command: 'id' }))).not.toContain(
      'sandbox_list',
    );
    expect(textOf(await call('sandbox_create'))).toContain('hint: Ask the user: Run `hearth doctor`.');
  });

  it('of a start leave no sandbox that nobody knows of', async () => {
    const backend = new FakeBackend();
    backend.startFails = new HearthError('AGENT_BOOT_FAILED', 'kernel panic');
    const { call } = await connect(backend);
    expect((await call('sandbox_create')).isError).toBe(true);
    expect(backend.sandboxes).toEqual([]);
  });
});

describe('progress', () => {
  it('is told to a client that asks for it', async () => {
    const backend = new FakeBackend();
    const { client } = await connect(backend);
    const told: Array<string | undefined> = [];
    await client.callTool(
      { name: 'sandbox_create', arguments: {} },
      { onprogress: ({ message }) => told.push(message) },
    );
    expect(told).toContain('download debian:12, 1.0 MiB');
  });
});
