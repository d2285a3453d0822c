import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runTool } from '../../src/subprocess/index.js';
import { CLI, cliEnvironment, hearth, jsonOf } from '../support/cli.js';
import { type McpSession, openMcp, openMcpOverHttp } from '../support/mcp.js';

afterAll(async () => {
  await hearth(['serve', '--stop']);
});

const names = async (): Promise<string[]> => {
  const { sandboxes } = jsonOf(await hearth(['ps', '--all', '--json'])) as { sandboxes: { name: string }[] };
  return sandboxes.map(({ name }) => name);
};

const PATCH = '--- a/add.sh\n+++ b/add.sh\n@@ -1 +1 @@\n-echo $(( $1 - $2 ))\n+echo $(( $1 + $2 ))\n';

/** A project whose test fails. */
async function brokenProject(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hearth-mcp-project-'));
  await writeFile(join(path, 'add.sh'), 'echo $(( $1 - $2 ))\n');
  await writeFile(
    join(path, 'test.sh'),
    'got=$(sh add.sh 2 3); test "$got" = 5 || { echo "wrong: $got" >&2; exit 1; }\n',
  );
  await runTool('git', ['init', '--quiet'], { cwd: path });
  await runTool('git', ['add', '.'], { cwd: path });
  await writeFile(join(path, 'secret.env'), 'of the host\n');
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true }) };
}

/** It is put right in a sandbox by a model, and the patch taken home: what a coding agent does. */
async function repairABug({ call }: McpSession, name: string, project: string): Promise<void> {
  const made = await call('sandbox_create', { name });
  expect(made).toMatchObject({ isError: false, structured: { sandbox: { name, state: 'running' } } });
  const failing = await call('sandbox_exec', { sandbox: name, command: 'ls; sh test.sh' });
  expect(failing).toMatchObject({
    isError: false,
    structured: { exitCode: 1, stdout: 'add.sh\ntest.sh\n', stderr: 'wrong: -1\n' },
  });
  expect(failing.text).toContain('exit code 1');
  const read = await call('file_read', { sandbox: name, path: 'add.sh' });
  expect(read.structured).toMatchObject({ path: '/workspace/add.sh', content: 'echo $(( $1 - $2 ))\n' });
  const wrong = await call('patch_apply', { sandbox: name, patch: PATCH.replace('$1 -', '$1 *') });
  expect([wrong.isError, wrong.text]).toEqual([true, expect.stringContaining('PATCH_CONFLICT')]);
  expect((await call('patch_apply', { sandbox: name, patch: PATCH })).structured).toMatchObject({
    applied: true,
  });
  await call('file_write', { sandbox: name, path: 'docs/why.md', content: 'It added nothing.\n' });
  const passing = await call('sandbox_exec', { sandbox: name, command: 'sh test.sh' });
  expect(passing.structured).toMatchObject({ exitCode: 0, stderr: '' });
  const diff = await call('workspace_diff', { sandbox: name });
  expect(diff.structured).toMatchObject({ total: 2, truncated: false, patchPath: null });
  await runTool('git', ['apply', '-'], { cwd: project, input: String(diff.structured.patch) });
  await runTool('sh', ['test.sh'], { cwd: project });
  expect(await readFile(join(project, 'docs/why.md'), 'utf8')).toBe('It added nothing.\n');
}

/** A snapshot, a way that was wrong, back, and a copy for another one. */
async function tryTwoWays({ call }: McpSession, name: string): Promise<void> {
  const sh = async (command: string, sandbox = name): Promise<unknown> =>
    (await call('sandbox_exec', { sandbox, command })).structured.stdout;
  await call('snapshot_create', { sandbox: name, name: 'good' });
  await sh('rm add.sh');
  expect((await call('snapshot_restore', { sandbox: name, name: 'good' })).isError).toBe(false);
  expect(await sh('ls')).toBe('add.sh\ndocs\ntest.sh\n');
  const forked = await call('sandbox_fork', { sandbox: name, name: 'mcp-other' });
  expect(forked).toMatchObject({ isError: false, structured: { sandboxes: [{ name: 'mcp-other' }] } });
  await sh('echo other > add.sh', 'mcp-other');
  expect(await sh('cat add.sh', 'mcp-other')).toBe('other\n');
  expect(await sh('cat add.sh')).toBe('echo $(( $1 + $2 ))\n');
  expect((await call('workspace_reset', { sandbox: name })).structured).toMatchObject({ entryCount: 2 });
  expect(await sh('cat add.sh')).toBe('echo $(( $1 - $2 ))\n');
  await call('sandbox_remove', { sandbox: 'mcp-other' });
}

/** A service and a shell, which stay between calls. */
async function keepRunning({ call }: McpSession, sandbox: string): Promise<void> {
  const up = { kind: 'file', path: '/tmp/up' };
  const command = 'echo begun; touch /tmp/up; exec sleep 600';
  const started = await call('service_start', {
    sandbox,
    name: 'web',
    command,
    ready: up,
    readySeconds: 120,
  });
  expect(started).toMatchObject({
    isError: false,
    structured: { service: { name: 'web', state: 'running' } },
  });
  expect((await call('service_logs', { sandbox, name: 'web' })).structured.stdout).toBe('begun\n');
  const stopped = await call('service_stop', { sandbox, name: 'web' });
  expect(stopped.structured).toMatchObject({ service: { state: 'stopped' } });

  const { shell, cursor } = (await call('shell_open', { sandbox })).structured;
  await call('shell_write', { sandbox, shell, cursor, input: 'cd /tmp; x=21' });
  await call('shell_write', { sandbox, shell, cursor, input: 'echo "$((x * 2)) $PWD"' });
  const seen = async (): Promise<unknown> =>
    (await call('shell_read', { sandbox, shell, cursor })).structured.output;
  await expect.poll(seen, { timeout: 60_000 }).toContain('\n42 /tmp\n');
  expect((await call('shell_close', { sandbox, shell })).isError).toBe(false);
}

describe('over stdin and stdout', () => {
  it('a model repairs a bug in a sandbox, sees long output whole, and cleans up', async () => {
    await using project = await brokenProject();
    await using session = await openMcp(['--profile', 'full', '--project-path', project.path]);
    await repairABug(session, 'mcp-repair', project.path);
    const long = await session.call('sandbox_exec', { sandbox: 'mcp-repair', command: 'seq 1 100000' });
    expect(long.structured).toMatchObject({ truncated: true, stdoutBytes: 588_895 });
    const path = String(long.structured.stdoutPath);
    const sum = `seq 1 100000 | cmp - ${path} && sed -n 50000p ${path}`;
    expect(
      (await session.call('sandbox_exec', { sandbox: 'mcp-repair', command: sum })).structured,
    ).toMatchObject({
      exitCode: 0,
      stdout: '50000\n',
    });
    expect(await names()).toContain('mcp-repair');
    await tryTwoWays(session, 'mcp-repair');
    await keepRunning(session, 'mcp-repair');
    await session.call('sandbox_remove', { sandbox: 'mcp-repair' });
    expect(await names()).not.toContain('mcp-repair');
  });

  it('a client of the newest revision runs a command that leaves nothing', async () => {
    const before = await names();
    await using session = await openMcp(['--profile', 'run'], 'auto');
    const { tools } = await session.client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['run']);
    const ran = await session.call('run', { command: 'echo out; echo err >&2; exit 3' });
    expect(ran.structured).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
    expect(await names()).toEqual(before);
  });

  it('a call that is cancelled kills the command in the guest', async () => {
    await using session = await openMcp();
    await session.call('sandbox_create', { name: 'mcp-cancel' });
    const cancel = new AbortController();
    const running = session.client.callTool(
      { name: 'sandbox_exec', arguments: { sandbox: 'mcp-cancel', command: 'exec sleep 4242' } },
      { signal: cancel.signal },
    );
    const count = async (): Promise<unknown> =>
      (
        await session.call('sandbox_exec', {
          sandbox: 'mcp-cancel',
          command: 'grep -lz 424[2] /proc/[0-9]*/cmdline | wc -l',
        })
      ).structured.stdout;
    await expect.poll(count, { timeout: 60_000 }).toBe('1\n');
    cancel.abort();
    await expect(running).rejects.toThrow();
    await expect.poll(count, { timeout: 60_000 }).toBe('0\n');
    await session.call('sandbox_remove', { sandbox: 'mcp-cancel' });
  });
});

describe('over HTTP', () => {
  it.each(['legacy', 'auto'] as const)('a model repairs a bug in a sandbox (%s)', async (negotiation) => {
    await using project = await brokenProject();
    await using session = await openMcpOverHttp(['--project-path', project.path], negotiation);
    await repairABug(session, 'mcp-http', project.path);
    await session.call('sandbox_remove', { sandbox: 'mcp-http' });
    expect(await names()).not.toContain('mcp-http');
  });
});

describe('the process', () => {
  it.each([
    ['the end of its input', (child: ReturnType<typeof spawn>) => void child.stdin?.end()],
    ['SIGTERM', (child: ReturnType<typeof spawn>) => void child.kill('SIGTERM')],
  ])('ends with %s, has written nothing but the protocol, and leaves no VM', async (_what, end) => {
    const child = spawn(process.execPath, [CLI, 'mcp'], { env: cliEnvironment() });
    const ended = once(child, 'close');
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    const send = (message: object): boolean =>
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
    const clientInfo = { name: 'raw', version: '0' };
    send({
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo },
    });
    send({ method: 'notifications/initialized' });
    const _meta = { progressToken: 'p' };
    send({
      id: 2,
      method: 'tools/call',
      params: { name: 'run', arguments: { command: 'sleep 600' }, _meta },
    });
    await expect.poll(() => stdout, { timeout: 120_000 }).toContain('"exec debian:12"');
    end(child);
    const [code] = await ended;
    expect(code).toBe(0);
    for (const line of stdout.trimEnd().split('\n'))
      expect(JSON.parse(line)).toMatchObject({ jsonrpc: '2.0' });
  });
});
