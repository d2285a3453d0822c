/** The network that is not filtered: a device, an address of its own, and what QEMU carries for it. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hearth, jsonOf, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const NAME = `full-${randomBytes(4).toString('hex')}`;
let server: Server;
let port: number;
let daemon: RunningDaemon;

const LOOK = 'cat /sys/class/net/eth0/address; cat /etc/resolv.conf; cat /proc/net/route';
/** What the host's loopback says, which is 10.0.2.2 for the guest. */
const talk = (): string => `exec 3<>/dev/tcp/10.0.2.2/${port} && cat <&3`;
const sh = async (name: string, script: string): Promise<string> =>
  (await hearth(['exec', '--timeout', '60s', name, '--', 'bash', '-c', script])).stdout.toString();
const mac = async (name: string): Promise<string> =>
  (await sh(name, 'cat /sys/class/net/eth0/address')).trim();

beforeAll(async () => {
  server = createServer((socket) => socket.on('error', () => {}).end('hello from the host\n'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  port = typeof address === 'object' && address !== null ? address.port : 0;
  daemon = await serve(SHARED_HOME);
  const created = await hearth([
    ...['create', '--start', '--name', NAME, '--memory', '256M', '--net', 'full', 'debian:12'],
  ]);
  expect(created.stderr).toBe('');
});
afterAll(async () => {
  for (const name of [NAME, `${NAME}-1`]) await hearth(['rm', '--force', name]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
  server.close();
});

describe('--net full', () => {
  it('gives a sandbox a device with an address, a way and a name server, and no proxy', async () => {
    const { sandbox } = jsonOf(await hearth(['inspect', NAME])) as { sandbox: Record<string, unknown> };
    expect(sandbox.network).toEqual({ mode: 'full', hosts: [], proxyPort: null });
    const [address, ...rest] = (await sh(NAME, LOOK)).split('\n');
    expect(address).toMatch(/^[\da-f][26ae](?::[\da-f]{2}){5}$/);
    expect(rest[0]).toBe('nameserver 10.0.2.3');
    // The default route goes to 10.0.2.2.
    expect(rest.join('\n')).toMatch(/^eth0\t00000000\t0202000A/m);
    expect(await sh(NAME, 'echo "[$HTTP_PROXY]"')).toBe('[]\n');
    expect(await sh(NAME, talk())).toBe('hello from the host\n');
  });

  it('gives a fork another address than its source, and both a network that works', async () => {
    expect((await hearth(['fork', NAME])).stderr).toBe('');
    const [source, copy] = [await mac(NAME), await mac(`${NAME}-1`)];
    expect(copy).not.toBe(source);
    expect(await sh(NAME, talk())).toBe('hello from the host\n');
    expect(await sh(`${NAME}-1`, talk())).toBe('hello from the host\n');
    await hearth(['rm', '--force', `${NAME}-1`]);
  });

  it('comes and goes only without a VM', async () => {
    const refused = await hearth(['update', '--net', 'none', NAME]);
    expect(refused.stderr).toContain('error[SANDBOX_STATE_CONFLICT]');
    await hearth(['stop', NAME]);
    expect((await hearth(['update', '--net', 'none', NAME])).exitCode).toBe(0);
    await hearth(['start', NAME]);
    expect(await sh(NAME, 'ls /sys/class/net')).toBe('lo\n');
  });

  it('works for one command, resumed and booted', async () => {
    for (const start of [[], ['--cold']]) {
      const words = ['run', ...start, '--net', 'full', '--memory', '256M', 'debian:12', '--'];
      const { stdout, stderr } = await hearth([...words, 'bash', '-c', talk()]);
      expect([stdout.toString(), stderr]).toEqual(['hello from the host\n', '']);
    }
    const refused = await hearth(['run', '--net', 'full', '--allow-host', 'a.test', 'debian:12', 'true']);
    expect([refused.exitCode, refused.stderr]).toEqual([
      125,
      expect.stringContaining('error[USAGE_INVALID]'),
    ]);
  });
});
