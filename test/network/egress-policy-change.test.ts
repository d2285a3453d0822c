/** A change of the policy of a proxy that is in use. */
import { afterEach, describe, expect, it } from 'vitest';
import { exchange, isLast, listenTcp, openTunnel, startProxy } from './support.js';

const open: Array<{ close(): Promise<void> }> = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function setUp(...names: readonly string[]) {
  const host = await listenTcp((socket) => socket.pipe(socket));
  const patterns = names.map((name) => `${name}:${host.port}=127.0.0.1`);
  const proxy = await startProxy({ policy: { mode: 'allow-list', hosts: patterns } });
  open.push(host, proxy);
  return { host, proxy, patterns };
}
const connectTo = (name: string, port: number): string =>
  `CONNECT ${name}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`;

describe('setPolicy', () => {
  it('cuts what it does not allow any more, and nothing else', async () => {
    const { host, proxy, patterns } = await setUp('kept.test', 'dropped.test');
    const kept = await openTunnel(proxy.port, `kept.test:${host.port}`);
    await openTunnel(proxy.port, `dropped.test:${host.port}`);
    proxy.proxy.setPolicy({ mode: 'allow-list', hosts: patterns.slice(0, 1) });
    const cut = await proxy.event((event) => event.host === 'dropped.test' && isLast(event));
    expect(cut).toMatchObject({ decision: 'allowed', reason: 'closed-by-proxy' });
    kept.socket.end('still here');
    expect(await proxy.event((event) => event.host === 'kept.test' && isLast(event))).toMatchObject({
      reason: 'completed',
      bytesDown: 10,
    });
  });

  it('cuts a name that has moved to another address', async () => {
    const { host, proxy } = await setUp('moved.test');
    await openTunnel(proxy.port, `moved.test:${host.port}`);
    proxy.proxy.setPolicy({ mode: 'allow-list', hosts: [`moved.test:${host.port}=127.0.0.2`] });
    expect(await proxy.event(isLast)).toMatchObject({ reason: 'closed-by-proxy' });
  });

  it('decides about what comes next', async () => {
    const { host, proxy, patterns } = await setUp('a.test');
    proxy.proxy.setPolicy({ mode: 'allow-list', hosts: [] });
    expect(await exchange(proxy.port, connectTo('a.test', host.port))).toContain('403');
    proxy.proxy.setPolicy({ mode: 'allow-list', hosts: patterns });
    const { head } = await openTunnel(proxy.port, `a.test:${host.port}`);
    expect(head).toContain('200');
  });

  it('stays as it was when the new one is malformed', async () => {
    const { host, proxy } = await setUp('a.test');
    expect(() => proxy.proxy.setPolicy({ mode: 'allow-list', hosts: ['a b'] })).toThrow(
      expect.objectContaining({ code: 'HOST_PATTERN_INVALID' }),
    );
    const { head } = await openTunnel(proxy.port, `a.test:${host.port}`);
    expect(head).toContain('200');
  });
});
