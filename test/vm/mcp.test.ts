import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { CLI, cliEnvironment, hearth, jsonOf } from '../support/cli.js';
import { type McpSession, openMcp, openMcpOverHttp } from '../support/mcp.js';

afterAll(async () => {
  await hearth(['serve', '--stop']);
});

const names = async (): Promise<string[]> => {
  const { sandboxes } = jsonOf(await hearth(['ps', '--all', '--json'])) as { sandboxes: { name: string }[] };
  return sandboxes.map(({ name }) => name);
};

/** A project whose test fails, put right by its model: what a coding agent does, over one connection. */
async function repairABug({ call }: McpSession, name: string): Promise<void> {
  const sh = (command: string, more: object = {}) =>
    call('sandbox_exec', { sandbox: name, workdir: '/work', command, ...more });

  const made = await call('sandbox_create', { name });
  expect(made).toMatchObject({ isError: false, structured: { sandbox: { name, state: 'running' } } });
  await call('sandbox_exec', { sandbox: name, command: 'git init -q /work' });
  await sh(
    'cat > add.sh <<"END"\necho $(( $1 - $2 ))\nEND\ncat > test.sh <<"END"\ngot=$(sh add.sh 2 3); test $got = 5 || { echo wrong: $got >&2; exit 1; }\nEND\ngit add . && git -c user.name=t -c user.email=t@t commit -qm seed',
  );
  const failing = await sh('sh test.sh');
  expect(failing).toMatchObject({ isError: false, structured: { exitCode: 1, stderr: 'wrong: -1\n' } });
  expect(failing.text).toContain('exit code 1');
  await sh("sed -i 's/-/+/' add.sh");
  expect((await sh('sh test.sh')).structured).toMatchObject({ exitCode: 0, stderr: '' });
  expect((await sh('cat add.sh')).structured.stdout).toBe('echo $(( $1 + $2 ))\n');
  expect((await sh('git diff')).structured.stdout).toContain('+echo $(( $1 + $2 ))');
}

describe('over stdin and stdout', () => {
  it('a model repairs a bug in a sandbox, sees long output whole, and cleans up', async () => {
    await using session = await openMcp();
    await repairABug(session, 'mcp-repair');
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
    await using session = await openMcpOverHttp([], negotiation);
    await repairABug(session, 'mcp-http');
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
