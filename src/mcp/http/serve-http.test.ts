import { request as httpRequest } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeBackend } from '../fake-backend.fixture.js';
import { DEFAULT_PINS } from '../view.js';
import { serveOverHttp } from './serve-http.js';

const TOKEN = 'a-token-of-thirty-two-characters';
const CLIENTS = ['legacy', 'auto'] as const;
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const OURS = { labels: { 'hearth.client': 'mcp' } };

let backend: FakeBackend;
let url: URL;
let end: () => Promise<void>;
const clients: Client[] = [];

beforeEach(async () => {
  backend = new FakeBackend();
  const stop = new AbortController();
  const address = { host: '127.0.0.1', port: 0 };
  const view = { profile: 'full', pins: DEFAULT_PINS } as const;
  await new Promise<void>((ready, fail) => {
    const served = serveOverHttp({
      view,
      backend,
      version: '0',
      address,
      token: TOKEN,
      signal: stop.signal,
      onReady: (at) => {
        url = new URL(at);
        ready();
      },
      onError: () => {},
    });
    served.catch(fail);
    end = async () => {
      stop.abort();
      await served;
    };
  });
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await end();
});

async function connect(mode: (typeof CLIENTS)[number]): Promise<Client> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const client = new Client({ name: 'test', version: '0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  clients.push(client);
  return client;
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

async function ask({ method = 'POST', path = '/mcp', headers = {}, body = '{}' }: Asked) {
  return await new Promise<{ status: number | undefined; text: string; headers: object }>(
    (resolve, reject) => {
      const request = httpRequest(
        {
          port: url.port,
          host: '127.0.0.1',
          method,
          path,
          headers: {
            authorization: `Bearer ${TOKEN}`,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            ...headers,
          },
        },
        (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          response.on('end', () => resolve({ status: response.statusCode, text, headers: response.headers }));
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      request.end(method === 'POST' ? body : undefined);
    },
  );
}

describe.each(CLIENTS)('a client (%s)', (mode) => {
  it('lists and calls tools, and hears of progress', async () => {
    backend.respond = () => ({ stdout: 'out' });
    const client = await connect(mode);
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('sandbox_exec');
    const told: Array<string | undefined> = [];
    const made = await client.callTool(
      { name: 'sandbox_create', arguments: { name: 'box' } },
      { onprogress: ({ message }) => told.push(message) },
    );
    expect(made.structuredContent).toMatchObject({ sandbox: { name: 'box' } });
    expect(told).toContain('download debian:12, 1.0 MiB');
    const ran = await client.callTool({ name: 'sandbox_exec', arguments: { sandbox: 'box', command: 'x' } });
    expect(ran.structuredContent).toMatchObject({ stdout: 'out', exitCode: 0 });
  });

  it.each(['cancels', 'goes away'])('that %s ends its call', async (how) => {
    backend.add('box', OURS);
    backend.respond = () => ({ hangs: true });
    const client = await connect(mode);
    const cancel = new AbortController();
    const call = client.callTool(
      { name: 'sandbox_exec', arguments: { sandbox: 'box', command: 'sleep inf' } },
      { signal: cancel.signal },
    );
    call.catch(() => {});
    await expect
      .poll(() => backend.calls.some(([name]) => name === 'exec.start'), { timeout: 30_000 })
      .toBe(true);
    if (how === 'cancels') cancel.abort();
    else await client.close();
    await expect.poll(() => backend.killed, { timeout: 30_000 }).toBe(1);
    await expect(call).rejects.toThrow();
  });

  it('is given the end of its call when the server ends', async () => {
    backend.respond = () => ({ hangs: true });
    const client = await connect(mode);
    const call = client.callTool({ name: 'run', arguments: { command: 'sleep inf' } });
    await expect
      .poll(() => backend.calls.some(([name]) => name === 'runOnce'), { timeout: 30_000 })
      .toBe(true);
    await end();
    expect(backend.killed).toBe(1);
    expect((await call).isError).toBe(true);
  });
});

describe('what is refused', () => {
  it.each<[string, Asked, number, string]>([
    ['no token', { headers: { authorization: '' } }, 401, 'DAEMON_UNAUTHORIZED'],
    ['another token', { headers: { authorization: `Bearer ${TOKEN}x` } }, 401, 'DAEMON_UNAUTHORIZED'],
    [
      'a name that somebody has pointed here',
      { headers: { host: 'evil.example' } },
      403,
      'DAEMON_HOST_REFUSED',
    ],
    ['a web page', { headers: { origin: 'http://localhost' } }, 403, 'DAEMON_HOST_REFUSED'],
    ['another path', { path: '/' }, 400, 'REQUEST_INVALID'],
    ['listening', { method: 'GET' }, 405, 'REQUEST_INVALID'],
    ['another method', { method: 'PUT' }, 400, 'REQUEST_INVALID'],
    [
      'a body of 8 MiB and one byte',
      { body: Buffer.alloc(8 * 1024 * 1024 + 1, ' ') },
      413,
      'REQUEST_TOO_LARGE',
    ],
  ])('%s', async (_what, asked, status, code) => {
    const answer = await ask(asked);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      status,
      { error: expect.objectContaining({ code }) },
    ]);
  });

  it.each<[string, Asked, number]>([
    ['a session that is not there', { headers: { 'mcp-session-id': 'x' }, body: PING }, 404],
    ['what is not JSON', { body: '{' }, 400],
    ['a call without a handshake', { body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' }, 400],
    ['another type', { headers: { 'content-type': 'text/plain' } }, 415],
  ])('%s, in the words of the protocol', async (_what, asked, status) => {
    const answer = await ask(asked);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      status,
      expect.objectContaining({ jsonrpc: '2.0' }),
    ]);
  });

  it('says how to ask', async () => {
    expect((await ask({ headers: { authorization: '' } })).headers).toMatchObject({
      'www-authenticate': 'Bearer',
    });
  });
});
