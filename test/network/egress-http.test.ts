/** Forwarding of http:// requests, against real servers on loopback. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  exchange,
  isLast,
  type Listening,
  listening,
  listenTcp,
  type ProxyFixture,
  startProxy,
} from './support.js';

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

  const length = (text: string) => `Content-Length: ${text.length}`;
  it.each([
    ['a length', 'POST', `${length('hello')}\r\n\r\nhello`, 'hello', ['Content-Length', '5']],
    [
      'chunks',
      'PUT',
      'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n',
      'abcde',
      ['Transfer-Encoding', 'chunked'],
    ],
    ['no body', 'POST', '\r\n', '', ['Content-Length', '0']],
    ['no body and no need', 'DELETE', '\r\n', '', []],
    ['a GET with a body', 'GET', `${length('q')}\r\n\r\nq`, 'q', ['Content-Length', '1']],
    ['an unusual method', 'PROPFIND', `${length('x')}\r\n\r\nx`, 'x', ['Content-Length', '1']],
  ])('with %s is delimited anew', async (_name, method, rest, body, framing) => {
    const { proxy, authority } = await setUp(echo);
    const answer = await exchange(
      proxy.port,
      `${method} http://${authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${rest}`,
    );
    const seen = json(answer);
    expect([seen.method, seen.body]).toEqual([method, body]);
    const headers: string[] = seen.headers;
    expect(
      headers.filter((_, i) =>
        /^(content-length|transfer-encoding|connection)$/i.test(headers[i - (i % 2)]!),
      ),
    ).toEqual([...framing, ...['Connection', 'close']]);
    expect(await proxy.event(isLast)).toMatchObject({ reason: 'completed', bytesUp: body.length });
  });

  it.each([
    ['', 'GET', '/'],
    ['?q', 'GET', '/?q'],
    ['', 'OPTIONS', '*'],
    ['/a/../b//c', 'GET', '/a/../b//c'],
  ])('asks for the path as written: %j with %s', async (path, method, expected) => {
    const { proxy, authority } = await setUp(echo);
    const answer = await exchange(
      proxy.port,
      `${method} http://${authority}${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(json(answer).url).toBe(expected);
  });

  it('is followed by others on the same connection, pipelined ones in order', async () => {
    const { proxy, authority } = await setUp((request, response) => {
      const delayMs = request.url === '/1' ? 80 : 0;
      setTimeout(() => response.end(`<${request.url}>`), delayMs);
    });
    const one = (path: string, more = '') =>
      `GET http://${authority}${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
    const answer = await exchange(
      proxy.port,
      one('/1') + one('/2') + one('/3') + one('/4') + one('/5', 'Connection: close\r\n'),
    );
    expect([...answer.matchAll(/<(.*?)>/g)].map((match) => match[1])).toEqual(['/1', '/2', '/3', '/4', '/5']);
    await proxy.event((event) => event.id === 5);
    expect(proxy.events.map(({ id, reason }) => [id, reason])).toEqual(
      [1, 2, 3, 4, 5].map((id) => [id, 'completed']),
    );
  });

  it('gets its 100 Continue from the host, and no body is sent to a host that refuses first', async () => {
    const { proxy, authority, server } = await setUp(echo);
    server.on('checkContinue', (request, response) => {
      if (request.url === '/no') {
        response.writeHead(417).end();
        return;
      }
      response.writeContinue();
      echo(request, response);
    });
    const head = (path: string) =>
      `POST http://${authority}${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
    const yes = await exchange(proxy.port, `${head('/yes')}hello`);
    expect(yes).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    expect(json(yes.slice(yes.indexOf('200 OK'))).body).toBe('hello');
    expect(await exchange(proxy.port, head('/no'))).toMatch(
      /^HTTP\/1\.1 417 [\s\S]*\r\nConnection: close\r\n/,
    );
  });
});

describe('a response', () => {
  const get = (proxy: ProxyFixture, authority: string, more = '', version = '1.1') =>
    exchange(
      proxy.port,
      `GET http://${authority}/ HTTP/${version}\r\nHost: x\r\nConnection: close\r\n${more}\r\n`,
    );

  it('keeps status, phrase, repeated fields and its own date', async () => {
    const { proxy, authority } = await setUp((_request, response) => {
      response.writeHead(404, 'Gone Fishing', [
        ...['Set-Cookie', 'a=1', 'set-cookie', 'b=2', 'Date', 'then', 'Keep-Alive', 'x', 'Upgrade', 'h2c'],
        ...['X-Secret-Hop', '1', 'Connection', 'x-secret-hop'],
      ]);
      response.end('no');
    });
    const answer = await get(proxy, authority);
    expect(answer).toMatch(/^HTTP\/1\.1 404 Gone Fishing\r\n/);
    expect(answer).toContain('Set-Cookie: a=1\r\nset-cookie: b=2\r\nDate: then\r\n');
    expect(answer).not.toMatch(/x-secret-hop|upgrade|keep-alive: x/i);
  });

  it('streams, as it comes', async () => {
    let finish = () => {};
    const { proxy, authority } = await setUp((_request, response) => {
      response.write('first');
      finish = () => response.end('last');
    });
    const socket = connect(proxy.port, '127.0.0.1');
    socket.write(`GET http://${authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    let seen = '';
    for await (const chunk of socket) {
      seen += String(chunk);
      if (seen.includes('first')) finish();
    }
    expect(seen).toMatch(/first[\s\S]*last/);
  });

  it('begins before its body does', async () => {
    let finish = () => {};
    const { proxy, authority } = await setUp((_request, response) => {
      response.flushHeaders();
      finish = () => response.end('late');
    });
    const socket = connect(proxy.port, '127.0.0.1');
    socket.write(`GET http://${authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    let seen = '';
    for await (const chunk of socket) {
      seen += String(chunk);
      if (seen.includes('\r\n\r\n')) finish();
    }
    expect(seen).toContain('late');
  });

  it('that comes before the whole request ends the connection, since nothing can follow on it', async () => {
    const { proxy, authority } = await setUp((_request, response) =>
      response.writeHead(413).end('too large'),
    );
    const answer = await exchange(
      proxy.port,
      `POST http://${authority}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nthe beginning`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*\r\nConnection: close\r\n[\s\S]*too large/);
    expect(await proxy.event(isLast)).toMatchObject({
      decision: 'allowed',
      reason: 'completed',
      bytesUp: 13,
    });
  });

  it('is delimited by the end of the connection for HTTP/1.0', async () => {
    const { proxy, authority } = await setUp((_request, response) => {
      response.write('a');
      response.end('b');
    });
    const answer = await get(proxy, authority, '', '1.0');
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(answer.endsWith('\r\n\r\nab')).toBe(true);
  });

  it.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('to %s with status %i has no body', async (method, status) => {
    const { proxy, authority } = await setUp((_request, response) => {
      response.writeHead(status, method === 'HEAD' ? { 'content-length': 1000 } : {}).end();
    });
    const answer = await exchange(
      proxy.port,
      `${method} http://${authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer.endsWith('\r\n\r\n')).toBe(true);
    expect(await proxy.event(isLast)).toMatchObject({ reason: 'completed', bytesDown: 0 });
  });

  it.each([
    ['nothing', ''],
    ['something else', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'a length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nxx'],
    ['a status below 100', 'HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n'],
    ['headers without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`],
  ])('of %s becomes a 502', async (_name, bytes) => {
    const host = await listenTcp((socket) => {
      socket.once('data', () => socket.end(bytes));
    });
    const authority = `web.test:${host.port}`;
    const proxy = await startProxy({ policy: { mode: 'allow-list', hosts: [`${authority}=127.0.0.1`] } });
    open.push(host, proxy);
    expect(await get(proxy, authority)).toMatch(/^HTTP\/1\.1 502 /);
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'failed', reason: 'response-invalid' });
  });

  it('that breaks off reaches the guest broken, not as if it were whole', async () => {
    const host = await listenTcp((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
        setTimeout(() => socket.destroy(), 50);
      });
    });
    const authority = `web.test:${host.port}`;
    const proxy = await startProxy({ policy: { mode: 'allow-list', hosts: [`${authority}=127.0.0.1`] } });
    open.push(host, proxy);
    const answer = await get(proxy, authority);
    expect(answer).toContain('hello');
    expect(answer).not.toContain('\r\n0\r\n');
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'allowed', reason: 'broken', bytesDown: 5 });
  });

  it('that does not come in time becomes a 504', async () => {
    const { proxy, authority } = await setUp(() => {}, { responseIdleTimeoutMs: 100 });
    expect(await get(proxy, authority)).toMatch(/^HTTP\/1\.1 504 /);
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'failed', reason: 'response-timeout' });
  });

  it('that stops in the middle is given up', async () => {
    const { proxy, authority } = await setUp((_request, response) => void response.write('part'), {
      responseIdleTimeoutMs: 2000,
    });
    expect(await get(proxy, authority)).toContain('part');
    expect(await proxy.event(isLast)).toMatchObject({ decision: 'allowed', reason: 'idle-timeout' });
  });

  it('that nobody reads any more lets go of the host', async () => {
    const hostClosed = new Promise<void>((resolve) => {
      void setUp((_request, response) => {
        response.on('close', resolve);
        const more = () => {
          while (response.write(Buffer.alloc(65_536)));
          response.once('drain', more);
        };
        more();
      }).then(({ proxy, authority }) => {
        const socket = connect(proxy.port, '127.0.0.1');
        socket.write(`GET http://${authority}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
        socket.once('data', () => socket.destroy());
      });
    });
    await hostClosed;
  });
});

describe('what is refused', () => {
  it('names the flag that would allow it, in the body and where a client shows nothing else', async () => {
    const { proxy } = await setUp(echo);
    const ask = (url: string) =>
      exchange(proxy.port, `GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const host = await ask('http://other.test/');
    expect(host).toMatch(/^HTTP\/1\.1 403 Forbidden by hearth: allow with --allow-host other\.test\r\n/);
    expect(host).toContain('start the sandbox with: --allow-host other.test\n');
    expect(await ask('http://web.test:81/')).toContain('--allow-host web.test:81\n');
    expect(await ask('http://host.hearth.internal/')).toContain('--allow-host host.hearth.internal:80\n');
    expect(proxy.events).toMatchObject([
      { decision: 'denied', reason: 'host-not-allowed', host: 'other.test', port: 80 },
      { decision: 'denied', reason: 'port-not-allowed', host: 'web.test', port: 81 },
      { decision: 'denied', reason: 'host-not-allowed', host: 'host.hearth.internal', port: 80 },
    ]);
  });

  it('does not tell the guest what DNS has said', async () => {
    const proxy = await startProxy({
      policy: { mode: 'public' },
      resolve: () => Promise.resolve(['10.11.12.13']),
    });
    open.push(proxy);
    const answer = await exchange(
      proxy.port,
      'GET http://db.corp/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain('--allow-host db.corp=ADDRESS');
    expect(answer).not.toContain('10.11.12.13');
    expect(proxy.events).toMatchObject([{ reason: 'address-private', address: '10.11.12.13' }]);
  });

  it('leaves the connection usable', async () => {
    const { proxy, authority } = await setUp(echo);
    const answer = await exchange(
      proxy.port,
      `GET http://other.test/ HTTP/1.1\r\nHost: x\r\n\r\nGET http://${authority}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 403 [\s\S]*HTTP\/1\.1 200 OK/);
  });

  it.each([
    ['http://a.test#x', 400],
    ['http://user@a.test/', 400],
    ['http://user:pass@a.test/', 400],
    ['http://a.test:0/', 400],
    ['http://a.test:99999/', 400],
    ['http:///x', 400],
    ['http://0x7f.1/', 400],
    ['http://2130706433/', 400],
    ['http://0177.0.0.1/', 400],
    ['http://127.1/', 400],
    ['http://[fe80::1%25eth0]/', 400],
    ['http://[::ffff:127.0.0.1]/', 403],
    ['http://127.0.0.1/', 403],
    ['http://a%2etest/', 400],
    ['http://a.test/\xe9', 400],
    ['http://a.test/a\tb', 400],
    ['/origin-form', 400],
    ['*', 400],
    ['https://a.test/', 501],
    ['ftp://a.test/', 501],
    ['file:///etc/passwd', 501],
  ])('%s: %i', async (target, status) => {
    const proxy = await startProxy({ policy: { mode: 'public' } });
    open.push(proxy);
    const answer = await exchange(
      proxy.port,
      `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(proxy.events).toMatchObject([{ decision: 'denied' }]);
  });
});
