/** Forwarding of http:// requests, against real servers on loopback. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { exchange, isLast, type Listening, listening, type ProxyFixture, startProxy } from './support.js';

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function setUp(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  limits = {},
): Promise<{ host: Listening; proxy: ProxyFixture; authority: string; server: Server }> {
  const server = createServer(answer);
  const host = await listening(server);
  const authority = `web.test:${host.port}`;
  const proxy = await startProxy({
    policy: { mode: 'allow-list', hosts: [`${authority}=127.0.0.1`] },
    limits,
  });
  open.push(host, proxy);
  return { host, proxy, authority, server };
}

function echo(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.stringify({
      method: request.method,
      url: request.url,
      headers: request.rawHeaders,
      body: Buffer.concat(chunks).toString('latin1'),
    });
    response.setHeader('content-length', body.length);
    response.end(body);
  });
}

const json = (answer: string) => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));

describe('a forwarded request', () => {
  it('reaches the host with its own Host and without hop-by-hop fields', async () => {
    const { proxy, authority } = await setUp(echo);
    const answer = await exchange(
      proxy.port,
      `GET http://WEB.test.:${authority.split(':')[1]}/a?b=%20c HTTP/1.1\r\nHost: elsewhere\r\nConnection: close, x-mine, content-type\r\nX-Mine: 1\r\n` +
        'Content-Type: text/x\r\nProxy-Authorization: Basic xx\r\nProxy-Connection: keep-alive\r\nKeep-Alive: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: 1\r\nX-Kept: 2\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(json(answer)).toEqual({
      method: 'GET',
      url: '/a?b=%20c',
      headers: [
        ...['Host', authority, 'Content-Type', 'text/x', 'X-Kept', '1', 'X-Kept', '2'],
        ...['Via', '1.1 hearth', 'Connection', 'close'],
      ],
      body: '',
    });
    expect(await proxy.event(isLast)).toMatchObject({
      kind: 'http',
      host: 'web.test',
      address: '127.0.0.1',
      rule: `${authority}=127.0.0.1`,
      decision: 'allowed',
      reason: 'completed',
      bytesUp: 0,
      bytesDown: answer.length - answer.indexOf('\r\n\r\n') - 4,
    });
  });
});
