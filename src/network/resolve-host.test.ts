import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { quickest } from '../../test/support/timing.js';
import { createHostResolver } from './resolve-host.js';

type Answer = readonly string[] | 'nxdomain' | 'servfail' | 'silence';

const TYPE_A = 1;
const RCODES: Record<string, number> = { servfail: 2, nxdomain: 3 };
const servers: Socket[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A DNS server (RFC 1035 section 4) that gives every name the same answers. */
async function dns(ipv4: Answer, ipv6: Answer, ipv6DelayMs = 0): Promise<string> {
  const server = createSocket('udp4');
  servers.push(server);
  server.on('message', (query, client) => {
    let end = 12;
    while (query[end] !== 0) end += 1 + (query[end] ?? 0);
    const type = query.readUInt16BE(end + 1);
    const answer = type === TYPE_A ? ipv4 : ipv6;
    if (answer === 'silence') return;
    const addresses = typeof answer === 'string' ? [] : answer;
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(0x8180 | (typeof answer === 'string' ? (RCODES[answer] ?? 0) : 0), 2);
    header.writeUInt16BE(addresses.length, 6);
    header.writeUInt32BE(0, 8);
    const records = addresses.map((address) => {
      const data = Buffer.from(
        type === TYPE_A ? address.split('.').map(Number) : Buffer.from(address, 'hex'),
      );
      const record = Buffer.alloc(12);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(type, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt32BE(1, 6);
      record.writeUInt16BE(data.byteLength, 10);
      return Buffer.concat([record, data]);
    });
    const reply = Buffer.concat([header, query.subarray(12, end + 5), ...records]);
    const send = () => server.send(reply, client.port, client.address, () => {});
    if (type === TYPE_A || ipv6DelayMs === 0) send();
    else setTimeout(send, ipv6DelayMs);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${server.address().port}`;
}

const IPV6 = '26064700000000000000000000001111';
const never = new AbortController().signal;
const ask = async (server: Promise<string>, signal = never) =>
  [...(await createHostResolver([await server])('name.test', { signal }))].sort();

describe('createHostResolver', () => {
  it('finds the addresses of both families', async () => {
    expect(await ask(dns(['1.2.3.4', '1.2.3.5'], [IPV6]))).toEqual(['1.2.3.4', '1.2.3.5', '2606:4700::1111']);
  });

  it.each([
    ['only IPv4', ['1.2.3.4'], [], ['1.2.3.4']],
    ['only IPv6', [], [IPV6], ['2606:4700::1111']],
    ['IPv4, and IPv6 unknown', ['1.2.3.4'], 'nxdomain', ['1.2.3.4']],
    ['IPv4, and IPv6 failing', ['1.2.3.4'], 'servfail', ['1.2.3.4']],
    ['IPv4, and IPv6 silent', ['1.2.3.4'], 'silence', ['1.2.3.4']],
    ['neither', [], [], []],
    ['no such name', 'nxdomain', 'nxdomain', []],
  ] as const)('%s', async (_name, ipv4, ipv6, expected) => {
    // Less than the first of the tries that a silent server is given.
    const tookMs = await quickest(3000, async () => {
      const startedAt = performance.now();
      expect(await ask(dns(ipv4, ipv6))).toEqual(expected);
      return performance.now() - startedAt;
    });
    expect(tookMs).toBeLessThan(3000);
  });

  it('waits a little for the second family', async () => {
    let found: readonly string[] = [];
    // Once: on a busy machine the second answer may come later than it is waited for.
    for (let turn = 0; turn < 20 && found.length < 2; turn += 1)
      found = await ask(dns(['1.2.3.4'], [IPV6], 40));
    expect(found).toEqual(['1.2.3.4', '2606:4700::1111']);
  });

  it('throws when it could not ask', async () => {
    await expect(ask(dns('servfail', 'servfail'))).rejects.toMatchObject({ code: 'ESERVFAIL' });
    await expect(ask(dns([], 'servfail'))).rejects.toMatchObject({ code: 'ESERVFAIL' });
  });

  it('stops with the reason of its signal', async () => {
    const controller = new AbortController();
    const pending = ask(dns('silence', 'silence'), controller.signal);
    setTimeout(() => controller.abort(new Error('stop')), 50);
    await expect(pending).rejects.toThrow('stop');
    await expect(ask(dns([], []), AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  });
});
