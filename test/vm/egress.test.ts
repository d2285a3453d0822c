/** What a command in a VM may reach, and that it reaches nothing else. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hearth, jsonOf } from '../support/cli.js';

let server: Server;
let port: number;
beforeAll(async () => {
  server = createServer((request, response) => response.end(`${request.headers.host} ${request.url}\n`));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterAll(() => server.close());

/** Asks through git, the one HTTP client in the environment; its error tells what came back. */
const ask = async (options: readonly string[], url: string) =>
  jsonOf(await hearth(['run', '--json', ...options, 'debian:12', '--', 'git', 'ls-remote', url])) as {
    stderr: string;
    exitCode: number;
    egress?: Array<{ decision: string; host: string; reason: string }>;
  };

describe('hearth run --allow-host', () => {
  it('reaches the host that was allowed, by a name for it', async () => {
    const { egress, stderr } = await ask(
      ['--allow-host', `repo.test:${port}=127.0.0.1`],
      `http://repo.test:${port}/x.git`,
    );
    expect(egress).toMatchObject([{ decision: 'allowed', host: 'repo.test' }]);
    // The answer came from our server, which knows nothing of git.
    expect(stderr).toContain('not valid: is this a git repository?');
  });

  it('is told what to type for a host that was not', async () => {
    const { egress, exitCode } = await ask(['--allow-host', 'other.test'], `http://repo.test:${port}/x.git`);
    expect(egress).toMatchObject([{ decision: 'denied', host: 'repo.test', reason: 'host-not-allowed' }]);
    expect(exitCode).toBe(128);
  });

  it('never reaches this machine or its network with --net public', async () => {
    const { egress } = await ask(['--net', 'public'], `http://127.0.0.1.nip.test/x.git`);
    expect(egress?.every(({ decision }) => decision !== 'allowed')).toBe(true);
    const literal = await ask(
      ['--net', 'public', '-e', 'NO_PROXY=', '-e', 'no_proxy='],
      `http://127.0.0.1:${port}/x.git`,
    );
    expect(literal.egress?.every(({ decision }) => decision === 'denied')).toBe(true);
  });

  it('refuses patterns and modes that mean nothing', async () => {
    for (const options of [
      ['--net', 'lan'],
      ['--allow-host', 'a b'],
    ]) {
      const { exitCode, stderr } = await hearth(['run', ...options, 'debian:12', 'true']);
      expect([exitCode, /error\[(?:USAGE|HOST_PATTERN)_INVALID\]/.test(stderr)]).toEqual([125, true]);
    }
  });
});
