/** The HTTP API for other languages: OpenAPI, server-sent events, and TCP with a token. */

import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hearth, REPOSITORY } from '../support/cli.js';
import { ask, JSON_HEADERS, type RunningDaemon, serve } from '../support/daemon.js';

let home: string;
const makeHome = async (): Promise<void> => {
  home = await mkdtemp(join(tmpdir(), 'hearth-http-'));
};
const removeHome = (): Promise<void> => rm(home, { recursive: true, force: true });

const JSON_BODY = { method: 'POST', headers: JSON_HEADERS, body: '{}' };

describe('on the unix socket', () => {
  let daemon: RunningDaemon;
  beforeAll(async () => {
    await makeHome();
    daemon = await serve(home);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await removeHome();
  });

  it('describes itself as docs/openapi.json says', async () => {
    const { status, body } = await ask(daemon.socketPath, 'GET', '/v1/openapi.json');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual(JSON.parse(await readFile(`${REPOSITORY}docs/openapi.json`, 'utf8')));
  });

  it.each([
    ['application/json', /^\{"result":\{"dryRun":true,.*\}\}\n$/],
    ['application/x-ndjson', /^\{"result":\{"dryRun":true,.*\}\}\n$/],
    ['text/event-stream', /^event: result\ndata: \{"dryRun":true,.*\}\n\n$/],
  ])('answers in the form that is asked for: %s', async (accept, expected) => {
    const answer = await ask(daemon.socketPath, 'POST', '/v1/environment.prune', {
      headers: { ...JSON_HEADERS, accept },
      body: '{"dryRun":true}',
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatch(expected);
  });

  it('tells what fails before any event with its status', async () => {
    const { status, body } = await ask(daemon.socketPath, 'POST', '/v1/exec.run', {
      headers: { ...JSON_HEADERS, accept: 'text/event-stream' },
      body: '{"sandbox":"none","argv":["true"]}',
    });
    expect(status).toBe(404);
    expect(JSON.parse(body)).toMatchObject({ error: { code: 'SANDBOX_NOT_FOUND', kind: 'notFound' } });
  });

  it('tells what fails after some events as the last one', async () => {
    const { status, body } = await ask(daemon.socketPath, 'POST', '/v1/environment.pull', {
      headers: { ...JSON_HEADERS, accept: 'text/event-stream' },
      body: '{"environment":"127.0.0.1:1/none:1","offline":true}',
    });
    expect(status).toBe(200);
    expect(body).toMatch(/^event: progress\ndata: \{"phase":"resolve".*\}\n\n/);
    expect(body).toMatch(/event: error\ndata: \{"code":"[A-Z_]+".*\}\n\n$/);
  });

  it.each([
    ['both inputs', 'exec.run', { sandbox: 'x', argv: ['a'], stdin: '', stdinBase64: '' }],
    ['an input that is not base64', 'exec.run', { sandbox: 'x', argv: ['a'], stdinBase64: '*' }],
    ['more output than fits', 'exec.run', { sandbox: 'x', argv: ['a'], maxOutputBytes: 8 * 1024 * 1024 + 1 }],
    ['no hosts', 'sandbox.run', { image: 'x', network: [] }],
    ['a network mode nobody knows', 'sandbox.run', { image: 'x', network: 'all' }],
    ['a relative path', 'environment.register', { name: 'x', rootfsPath: 'rootfs.ext4', kernel: 'k' }],
    ['no name', 'environment.pull', { environment: '' }],
  ])('refuses %s', async (_name, operation, input) => {
    const answer = await ask(daemon.socketPath, 'POST', `/v1/${operation}`, {
      headers: JSON_HEADERS,
      body: JSON.stringify(input),
    });
    expect([answer.status, JSON.parse(answer.body).error.code]).toEqual([400, 'REQUEST_INVALID']);
  });
});

describe('on TCP', () => {
  let daemon: RunningDaemon;
  let url: string;
  let authorization: string;
  beforeAll(async () => {
    await makeHome();
    const tokenFile = join(home, 'token');
    daemon = await serve(home, '--listen', '127.0.0.1:0', '--token-file', tokenFile);
    url = /http:\/\/127\.0\.0\.1:\d+/.exec(daemon.stderr())?.[0] ?? '';
    authorization = `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`;
    expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await removeHome();
  });

  it('answers whoever brings the token', async () => {
    const answer = await fetch(`${url}/v1/sandbox.list`, {
      ...JSON_BODY,
      headers: { ...JSON_HEADERS, authorization },
    });
    expect([answer.status, await answer.json()]).toEqual([200, { result: { sandboxes: [], damaged: [] } }]);
  });

  it.each(['/healthz', '/readyz', '/metrics', '/v1/openapi.json'])(
    'shows %s to no one else',
    async (path) => {
      const without = await requestTcp(url, 'GET', path, {});
      expect(without).toContain('HTTP/1.1 401');
      expect(without).toMatch(/www-authenticate: Bearer/i);
      expect(without).toContain('"code":"DAEMON_UNAUTHORIZED"');
      expect(without).not.toMatch(/hearth-version/i);
      expect(await requestTcp(url, 'GET', path, { authorization })).toContain('HTTP/1.1 200');
    },
  );

  it.each([
    ['a wrong token', { authorization: 'Bearer wrong' }, 401],
    ['a name that points here', { host: 'rebound.example.org' }, 403],
    ['a web page', { origin: 'http://example.org' }, 403],
  ])('refuses %s, before anything is read', async (_name, headers, status) => {
    const all = { ...JSON_HEADERS, authorization, ...headers };
    expect(await requestTcp(url, 'POST', '/v1/sandbox.list', all, '{}')).toContain(`HTTP/1.1 ${status}`);
    expect(await requestTcp(url, 'OPTIONS', '/v1/sandbox.list', all)).toContain(`HTTP/1.1 ${status}`);
    const upgrade = { ...all, connection: 'Upgrade', upgrade: 'hearth-process' };
    const answer = await requestTcp(url, 'POST', '/v1/exec.start', upgrade);
    expect(answer).toContain(`HTTP/1.1 ${status}`);
    expect(answer).not.toMatch(/access-control-/i);
  });
});

describe('hearth serve --listen', () => {
  beforeEach(makeHome);
  afterEach(removeHome);

  it.each([
    ['no token file', ['--listen', '127.0.0.1:0'], 'USAGE_INVALID'],
    ['no address', ['--token-file', 'TOKEN'], 'USAGE_INVALID'],
    ['an address that others reach', ['--listen', '0.0.0.0:0', '--token-file', 'TOKEN'], 'USAGE_INVALID'],
    ['a name', ['--listen', 'example.org:80', '--token-file', 'TOKEN'], 'USAGE_INVALID'],
    [
      'an address of another machine',
      ['--listen', '192.0.2.1:0', '--token-file', 'TOKEN', '--allow-remote'],
      'PORT_ADDRESS_UNAVAILABLE',
    ],
  ])('refuses %s', async (_name, args, code) => {
    const words = args.map((word) => (word === 'TOKEN' ? join(home, 'token') : word));
    const { stderr, exitCode } = await hearth(['serve', ...words], { home });
    expect(stderr).toContain(`error[${code}]`);
    expect(exitCode).toBe(2);
  });

  const token = 'x'.repeat(32);
  it.each<[string, (path: string) => Promise<void>, string]>([
    [
      'that others may read',
      async (path) => {
        await writeFile(path, token);
        await chmod(path, 0o640);
      },
      'DAEMON_INSECURE',
    ],
    [
      'that is a link',
      async (path) => {
        await writeFile(`${path}-2`, token, { mode: 0o600 });
        await symlink(`${path}-2`, path);
      },
      'DAEMON_INSECURE',
    ],
    ['that is too short', (path) => writeFile(path, token.slice(1), { mode: 0o600 }), 'CONFIG_INVALID'],
    ['that is too long', (path) => writeFile(path, 'x'.repeat(513), { mode: 0o600 }), 'CONFIG_INVALID'],
    ['of two lines', (path) => writeFile(path, `${token}\n${token}\n`, { mode: 0o600 }), 'CONFIG_INVALID'],
    ['that is empty', (path) => writeFile(path, '', { mode: 0o600 }), 'CONFIG_INVALID'],
  ])('refuses a token file %s', async (_name, spoil, code) => {
    const path = join(home, 'token');
    await spoil(path);
    const { stderr } = await hearth(['serve', '--listen', '127.0.0.1:0', '--token-file', path], { home });
    expect(stderr).toContain(`error[${code}]`);
    expect(stderr).not.toContain(token);
  });
});

/** What came back to exactly these headers; `fetch` would not send all of them. */
async function requestTcp(
  url: string,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body = '',
): Promise<string> {
  const { hostname, port, host } = new URL(url);
  const all = { host, connection: 'close', 'content-length': String(body.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString();
  });
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  await once(socket, 'close');
  return answer;
}
