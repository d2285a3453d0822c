/** What a sandbox that is kept may reach, through everything that happens to it. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const NAME = `net-${randomBytes(4).toString('hex')}`;
let server: Server;
let port: number;
let daemon: RunningDaemon;

const inGuest = (...command: string[]): Promise<CliResult> => hearth(['exec', NAME, '--', ...command]);
const sh = (script: string): Promise<CliResult> => inGuest('bash', '-c', script);

/** What the proxy of the variable answers to a request for the name: the status, or nothing. */
const ASK = String.raw`ask() { exec 3<>/dev/tcp/127.0.0.1/$(echo $HTTP_PROXY | cut -d: -f3) || return
printf "GET http://$1/ HTTP/1.1\r\nHost: $1\r\nConnection: close\r\n\r\n" >&3; head -n 1 <&3; }; `;
const ask = async (host: string): Promise<string> =>
  (await sh(`${ASK} ask ${host}`)).stdout.toString().trim();
const allowed = (): Promise<string> => ask(`repo.test:${port}`);

interface Event {
  readonly decision: string;
  readonly host: string;
  readonly reason: string;
}
const events = async (): Promise<Event[]> => {
  const { stdout } = await hearth(['logs', '--egress', '--json', NAME]);
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Event);
};
const network = async (): Promise<Record<string, unknown>> => {
  const { sandbox } = jsonOf(await hearth(['inspect', NAME])) as { sandbox: Record<string, unknown> };
  return sandbox.network as Record<string, unknown>;
};

beforeAll(async () => {
  server = createServer((request, response) => response.end(`${request.headers.host}\n`));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
  daemon = await serve(SHARED_HOME);
  const created = await hearth([
    ...['create', '--start', '--name', NAME, '--memory', '256M', '-p', '9000'],
    ...['--allow-host', `repo.test:${port}=127.0.0.1`, 'debian:12'],
  ]);
  expect(created.stderr).toBe('');
});
afterAll(async () => {
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
  server.close();
});

describe('the filtered network of a sandbox', () => {
  it('reaches the allowed host, nothing else, and has no network device', async () => {
    expect(await allowed()).toBe('HTTP/1.1 200 OK');
    expect(await ask('other.test')).toContain('403 Forbidden by hearth: allow with --allow-host other.test');
    expect((await inGuest('ls', '/sys/class/net')).stdout.toString()).toBe('lo\n');
    expect(await events()).toMatchObject([
      { decision: 'allowed', host: 'repo.test', reason: 'completed' },
      { decision: 'denied', host: 'other.test', reason: 'host-not-allowed' },
    ]);
    const shown = (await hearth(['logs', '--egress', NAME])).stdout.toString();
    expect(shown).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ {2}allowed {2}repo\.test:\d+ {2}completed {2}/);
    expect(shown).toContain('  denied   other.test:80  host-not-allowed\n');
    expect(await network()).toEqual({
      mode: 'none',
      hosts: [`repo.test:${port}=127.0.0.1`],
      proxyPort: 3128,
    });
  });

  it('changes while the sandbox runs', async () => {
    await hearth(['update', '--remove-host', `repo.test:${port}=127.0.0.1`, '--allow-host', 'x.test', NAME]);
    expect(await allowed()).toContain('403');
    await hearth(['update', '--remove-host', 'x.test', NAME]);
    expect((await sh('echo "[$HTTP_PROXY]"')).stdout.toString()).toBe('[]\n');
    await hearth(['update', '--allow-host', `repo.test:${port}=127.0.0.1`, NAME]);
    expect(await allowed()).toBe('HTTP/1.1 200 OK');
    const refused = await hearth(['update', '--allow-host', 'a b', NAME]);
    expect(refused.stderr).toContain('error[HOST_PATTERN_INVALID]');
  });

  it('is back for what runs already after kill -9 of the daemon, with the published port', async () => {
    const script = `${ASK} while :; do ask repo.test:${port} > /tmp/answer.new; mv /tmp/answer.new /tmp/answer; sleep 0.2; done`;
    await hearth(['exec', '-d', NAME, '--', 'bash', '-c', script]);
    const answer = async (): Promise<string> => (await sh('cat /tmp/answer')).stdout.toString();
    await expect.poll(answer, { timeout: 60_000 }).toContain('200');
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    daemon = await serve(SHARED_HOME);
    await sh('rm -f /tmp/answer');
    await expect.poll(answer, { timeout: 60_000 }).toContain('200');
    const { ports } = jsonOf(await hearth(['port', '--json', NAME])) as { ports: unknown[] };
    expect(ports).toHaveLength(1);
  });

  it('is back after pause and resume, and after a stop', async () => {
    await hearth(['pause', NAME]);
    await hearth(['resume', NAME]);
    expect(await allowed()).toBe('HTTP/1.1 200 OK');
    await hearth(['stop', NAME]);
    await hearth(['start', NAME]);
    expect(await allowed()).toBe('HTTP/1.1 200 OK');
    expect(await network()).toMatchObject({ proxyPort: 3128 });
  });

  it('shows new events to one that follows', async () => {
    const before = (await events()).length;
    const following = hearth(['logs', '--egress', '--json', '-f', NAME], {
      onSpawn: (child) => {
        let lines = 0;
        child.stdout.on('data', (chunk: Buffer) => {
          lines += chunk.toString().split('\n').length - 1;
          if (lines > before) child.kill('SIGINT');
        });
      },
    });
    await ask('late.test');
    const { stdout, exitCode } = await following;
    expect(stdout.toString()).toContain('"host":"late.test"');
    expect(exitCode).toBe(0);
  });
});
