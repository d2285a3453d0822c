import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hearth, jsonOf } from '../support/cli.js';
import { ask, JSON_HEADERS, sendRaw, serve } from '../support/daemon.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hearth-daemon-'));
});
afterEach(async () => {
  await hearth(['serve', '--stop'], { home });
  await rm(home, { recursive: true, force: true });
});

const json = (answer: { body: string }): { error?: { code: string }; result?: unknown } =>
  JSON.parse(answer.body);

describe('the daemon', () => {
  it('listens on a socket that only its user can reach', async () => {
    await using daemon = await serve(home);
    expect((await stat(daemon.socketPath)).mode & 0o777).toBe(0o600);
    expect((await stat(join(home, 'run'))).mode & 0o777).toBe(0o700);
  });

  it('is one at a time: the second refuses and leaves the first alone', async () => {
    await using daemon = await serve(home);
    const second = await hearth(['serve'], { home });
    expect(second.stderr).toContain('error[DAEMON_RUNNING]');
    expect(second.exitCode).toBe(5);
    expect((await ask(daemon.socketPath, 'GET', '/healthz')).status).toBe(200);
  });

  it('takes the place of one that was killed, socket and all', async () => {
    const first = await serve(home);
    first.child.kill('SIGKILL');
    await first.ended;
    expect((await stat(first.socketPath)).isSocket()).toBe(true);
    await using second = await serve(home);
    expect((await ask(second.socketPath, 'GET', '/readyz')).status).toBe(200);
  });

  it('is started by the first command, once however many come together, and ends when asked', async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => hearth(['ps', '--json'], { home })));
    for (const answer of answers) {
      expect(answer.stderr).toBe('');
      expect(jsonOf(answer)).toEqual({ schemaVersion: 1, sandboxes: [], damaged: [] });
    }
    const log = await readFile(join(home, 'state', 'daemon.log'), 'utf8');
    expect(log.match(/ serves /g)).toHaveLength(1);
    expect((await hearth(['serve', '--stop'], { home })).stderr).toBe('the daemon ends\n');
    await expect
      .poll(async () => (await hearth(['serve', '--stop'], { home })).stderr)
      .toBe('no daemon is running\n');
  });

  it('ends by itself when nobody needs it, and takes its socket along', async () => {
    const daemon = await serve(home, '--idle-exit', '1s');
    expect(await daemon.ended).toBe(0);
    await expect(stat(daemon.socketPath)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.each([
    ['a directory that others can enter', () => chmod(join(home, 'run'), 0o755)],
    [
      'a directory that is a link',
      async () => {
        await rm(join(home, 'run'), { recursive: true });
        await mkdir(join(home, 'elsewhere'), { mode: 0o700 });
        await symlink(join(home, 'elsewhere'), join(home, 'run'));
      },
    ],
  ])('refuses %s', async (_name, spoil) => {
    await mkdir(join(home, 'run'), { mode: 0o700 });
    await spoil();
    const client = await hearth(['ps'], { home });
    expect(client.stderr).toContain('error[DAEMON_INSECURE]');
    expect(client.exitCode).toBe(4);
    const server = await hearth(['serve'], { home });
    expect(server.stderr).toContain('error[DAEMON_INSECURE]');
  });

  it('refuses a path that no socket can have', async () => {
    const deep = join(home, 'd'.repeat(100));
    const answer = await hearth(['ps'], { home: deep });
    expect(answer.stderr).toContain('error[PATH_TOO_LONG]');
  });

  it('shows a sandbox whose record is damaged, and removes it when told to', async () => {
    const id = 'aaaabbbbcccc';
    const directory = join(home, 'state', 'sandboxes', id);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, 'sandbox.json'), '{"schemaVersion":1,');
    const listed = await hearth(['ps', '--json'], { home });
    expect(jsonOf(listed)).toMatchObject({
      sandboxes: [],
      damaged: [{ id, error: { code: 'SANDBOX_RECORD_INVALID' } }],
    });
    expect((await hearth(['rm', id], { home })).exitCode).toBe(9);
    expect((await hearth(['rm', '--force', id], { home })).stdout.toString()).toBe(`${id}\n`);
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('removes what a killed one was making or removing', async () => {
    const unfinished = join(home, 'state', 'sandboxes', '.new-aaaabbbbcccc');
    await mkdir(unfinished, { recursive: true, mode: 0o700 });
    await writeFile(join(unfinished, 'disk'), 'half');
    await using _daemon = await serve(home);
    await expect(stat(unfinished)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('requests that are not right', () => {
  it.each([
    ['an unknown operation', 'POST', '/v1/sandbox.explode', '{}', 404, 'OPERATION_UNKNOWN'],
    ['a path of the prototype', 'POST', '/v1/constructor', '{}', 404, 'OPERATION_UNKNOWN'],
    ['another method', 'PUT', '/v1/sandbox.list', '{}', 404, 'OPERATION_UNKNOWN'],
    ['no JSON', 'POST', '/v1/sandbox.list', '{', 400, 'REQUEST_INVALID'],
    ['an array', 'POST', '/v1/sandbox.list', '[]', 400, 'REQUEST_INVALID'],
    ['a field nobody knows', 'POST', '/v1/sandbox.list', '{"x":1}', 400, 'REQUEST_INVALID'],
    ['a field of another type', 'POST', '/v1/sandbox.stop', '{"sandbox":1}', 400, 'REQUEST_INVALID'],
    [
      'a number out of range',
      'POST',
      '/v1/sandbox.create',
      '{"image":"x","cpus":65}',
      400,
      'REQUEST_INVALID',
    ],
    ['a sandbox that is not there', 'POST', '/v1/sandbox.stop', '{"sandbox":"x"}', 404, 'SANDBOX_NOT_FOUND'],
    ['a path as a sandbox', 'POST', '/v1/sandbox.stop', '{"sandbox":"../../x"}', 404, 'SANDBOX_NOT_FOUND'],
    ['5 million nested arrays', 'POST', '/v1/sandbox.list', '['.repeat(4_000_000), 400, 'REQUEST_INVALID'],
    ['too much', 'POST', '/v1/sandbox.list', ' '.repeat(4 * 1024 * 1024 + 1), 413, 'REQUEST_TOO_LARGE'],
  ])('%s', async (_name, method, path, body, status, code) => {
    await using daemon = await serve(home);
    const answer = await ask(daemon.socketPath, method, path, { headers: JSON_HEADERS, body });
    expect(answer.status).toBe(status);
    expect(json(answer).error?.code).toBe(code);
    expect((await ask(daemon.socketPath, 'GET', '/healthz')).status).toBe(200);
  });

  it('refuses another version, and says who is who', async () => {
    await using daemon = await serve(home);
    const headers = { ...JSON_HEADERS, 'hearth-version': '99.0.0' };
    const answer = await ask(daemon.socketPath, 'POST', '/v1/sandbox.list', { headers, body: '{}' });
    expect(answer.status).toBe(501);
    expect(json(answer).error).toMatchObject({
      code: 'DAEMON_VERSION_MISMATCH',
      details: { client: '99.0.0', connections: 0 },
    });
  });

  it('outlives garbage, half requests and headers without end', async () => {
    await using daemon = await serve(home);
    const upgrade = (operation: string): string =>
      `POST /v1/${operation} HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: hearth-process\r\n\r\n`;
    const inputs = [
      randomBytes(100_000),
      'POST /v1/sandbox.list HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\ncontent-type: application/json\r\n\r\n{',
      `GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
      upgrade('sandbox.list'),
      `${upgrade('exec.start')}\u0001\u00ff\u00ff\u00ff\u00ff`,
      Buffer.concat([Buffer.from(upgrade('exec.start')), Buffer.from([2, 0, 0, 0, 0])]),
      Buffer.concat([Buffer.from(upgrade('exec.start')), Buffer.from([1, 0, 0, 0, 2]), Buffer.from('{}')]),
      Buffer.concat([Buffer.from(upgrade('exec.start')), randomBytes(50_000)]),
    ];
    await Promise.all(inputs.map((input) => sendRaw(daemon.socketPath, input, 1000)));
    expect((await ask(daemon.socketPath, 'GET', '/healthz')).status).toBe(200);
    const metrics = await ask(daemon.socketPath, 'GET', '/metrics');
    expect(metrics.body).toContain('hearth_attached_processes 0\n');
  });
});
