import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AGENTS, buildAgents, execute, type LocalAgent, shell, startLocalAgent } from '../support/agent.js';

const PATH = '/usr/bin:/bin';
beforeAll(buildAgents);

describe.each(AGENTS)('%s', (_name, path) => {
  let agent: LocalAgent;
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'hearth-exec-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));
  beforeEach(async () => {
    agent = await startLocalAgent({ path });
  });
  afterEach(() => agent.close());

  describe('arguments, environment, directory, user', () => {
    it('keeps argv exactly', async () => {
      const words = [
        '',
        ' ',
        'a b',
        '"',
        "'",
        '\\',
        '$HOME',
        '*',
        '\n',
        'é',
        '-e',
        Buffer.from([0xff, 0xfe, 0x80]),
      ];
      const { stdout } = await execute(agent.client, {
        argv: ['/usr/bin/printf', '%s\\0', ...words],
        env: { PATH },
      });
      const expected = Buffer.concat(words.flatMap((word) => [Buffer.from(word), Buffer.from([0])]));
      expect(Buffer.from(stdout, 'latin1').equals(expected)).toBe(true);
    });

    it('passes on a megabyte of arguments short of the limit, and refuses more', async () => {
      const argument = 'x'.repeat(100_000);
      const { stdout } = await execute(agent.client, {
        argv: ['/bin/sh', '-c', 'echo $#', 'sh', ...Array.from({ length: 10 }, () => argument)],
      });
      expect(stdout).toBe('10\n');
      await expect(
        agent.client.exec({ argv: ['/bin/true', ...Array.from({ length: 11 }, () => argument)] }).exited,
      ).rejects.toMatchObject({ code: 'FRAME_TOO_LARGE' });
      expect((await execute(agent.client, { argv: ['/bin/true'] })).exit.exitCode).toBe(0);
    });

    it('gives exactly the environment, and HOME and PATH when they are missing', async () => {
      const { stdout } = await execute(agent.client, {
        argv: ['/usr/bin/env', '-0'],
        env: { A: '1 =\n2', EMPTY: '' },
      });
      expect(stdout.split('\0').sort()).toEqual([
        '',
        'A=1 =\n2',
        'EMPTY=',
        'HOME=/root',
        'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ]);
      const given = await execute(agent.client, { argv: ['/usr/bin/env'], env: { HOME: '/x', PATH: '/y' } });
      expect(given.stdout.split('\n').sort()).toEqual(['', 'HOME=/x', 'PATH=/y']);
    });

    it('starts in / or in the directory given, with umask 022', async () => {
      expect((await execute(agent.client, shell('pwd; umask'))).stdout).toBe('/\n0022\n');
      expect((await execute(agent.client, { ...shell('pwd'), cwd: '/usr/share' })).stdout).toBe(
        '/usr/share\n',
      );
    });

    it('creates the directory only when asked', async () => {
      const cwd = join(directory, 'a/b');
      await expect(agent.client.exec({ ...shell('pwd'), cwd }).exited).rejects.toMatchObject({
        code: 'EXEC_CWD_INVALID',
        details: { errno: 'ENOENT' },
      });
      expect((await execute(agent.client, { ...shell('pwd'), cwd, createCwd: true })).stdout).toBe(
        `${cwd}\n`,
      );
    });

    it('refuses a working directory that is a file', async () => {
      await expect(agent.client.exec({ ...shell('pwd'), cwd: '/etc/passwd' }).exited).rejects.toMatchObject({
        code: 'EXEC_CWD_INVALID',
        details: { errno: 'ENOTDIR' },
      });
    });

    it.each([
      ['', '0 0 '],
      ['0', '0 0 '],
      ['daemon', '1 1 '],
      ['1', '1 1 '],
      ['4242', '4242 0 '],
      ['4242:4343', '4242 4343 '],
      ['daemon:adm', '1 4 '],
      [':daemon', '0 1 '],
      ['daemon:', '1 1 '],
    ])('runs as user %j', async (user, expected) => {
      const { stdout } = await execute(agent.client, { ...shell('echo "$(id -u) $(id -g) "'), user });
      expect(stdout).toBe(`${expected}\n`);
    });

    it.each(['no-such-user', '-1', '4294967295', 'daemon:no-such-group', '0x1', ' '])(
      'refuses user %j',
      async (user) => {
        await expect(agent.client.exec({ ...shell('id'), user }).exited).rejects.toMatchObject({
          code: 'EXEC_USER_UNKNOWN',
        });
      },
    );

    it('starts with default signals, its own session, no descriptor but three', async () => {
      const { stdout } = await execute(
        agent.client,
        shell('grep -E "Sig(Blk|Ign)" /proc/self/status; ls /proc/self/fd; cut -d" " -f1,5,6 /proc/$$/stat'),
      );
      const [blocked, ignored, ...rest] = stdout.trim().split('\n');
      expect([blocked, ignored]).toEqual(['SigBlk:\t0000000000000000', 'SigIgn:\t0000000000000000']);
      // The fourth is the directory that ls is reading.
      expect(rest.slice(0, 4)).toEqual(['0', '1', '2', '3']);
      const [pid, group, session] = (rest[4] ?? '').split(' ');
      expect([group, session]).toEqual([pid, pid]);
    });

    it('sets resource limits', async () => {
      const limits = [{ resource: 7, soft: 77n, hard: 99n }];
      const { stdout } = await execute(agent.client, { ...shell('ulimit -Sn; ulimit -Hn'), limits });
      expect(stdout).toBe('77\n99\n');
      await expect(
        agent.client.exec({ ...shell('true'), limits: [{ resource: 7, soft: 2n, hard: 1n }] }).exited,
      ).rejects.toMatchObject({ code: 'EXEC_LIMIT_INVALID' });
    });

    it.each([
      [{ argv: [] }],
      [{ argv: [''] }],
      [{ argv: ['true'], env: { 'A=B': '' } }],
      [{ argv: ['true'], env: { '': '' } }],
      [{ argv: ['a\0b'] }],
      [{ argv: ['true'], timeoutMs: -1 }],
      [{ argv: ['true'], timeoutMs: 2 ** 32 }],
      [{ argv: ['true'], detached: { ringBytes: 0 } }],
      [{ argv: ['true'], detached: { ringBytes: 16 * 1024 * 1024 + 1 } }],
    ])('refuses %j before anything is sent', async (spec) => {
      await expect((async () => await agent.client.exec(spec).exited)()).rejects.toMatchObject({
        code: 'USAGE_INVALID',
      });
    });
  });

  describe('finding the command', () => {
    const file = (name: string, content: string, mode: number): string => {
      const path = join(directory, name);
      writeFileSync(path, content, { mode });
      return path;
    };

    it.each([
      ['no-such-command', 127, 'EXEC_NOT_FOUND', 'ENOENT'],
      ['/no/such/path', 127, 'EXEC_NOT_FOUND', 'ENOENT'],
      ['/etc/passwd/below', 127, 'EXEC_NOT_FOUND', 'ENOTDIR'],
      ['/etc/passwd', 126, 'EXEC_NOT_EXECUTABLE', 'EACCES'],
      ['/etc', 126, 'EXEC_NOT_EXECUTABLE', 'EACCES'],
    ])('%s gives %d', async (command, exitCode, code, errno) => {
      const { exit, stdout, stderr } = await execute(agent.client, { argv: [command] });
      expect(exit).toMatchObject({ exitCode, failure: { code, details: { errno } } });
      expect([stdout, stderr]).toEqual(['', '']);
    });

    it('searches the PATH of the environment given', async () => {
      file('only-here', '#!/bin/sh\necho found "$@"\n', 0o755);
      const spec = { argv: ['only-here', '1'], env: { PATH: `/nonexistent:${directory}` } };
      expect((await execute(agent.client, spec)).stdout).toBe('found 1\n');
      expect((await execute(agent.client, { argv: ['only-here'], env: { PATH } })).exit.exitCode).toBe(127);
    });

    it('goes on searching after a file without permission, and says so when there is no other', async () => {
      file('twice', 'not executable', 0o644);
      expect((await execute(agent.client, { argv: ['twice'], env: { PATH: directory } })).exit.exitCode).toBe(
        126,
      );
    });

    it('runs a script without an interpreter line by /bin/sh', async () => {
      const path = file('plain', 'echo plain "$0" "$@"\n', 0o755);
      expect((await execute(agent.client, { argv: [path, 'a', 'b c'] })).stdout).toBe(
        `plain ${path} a b c\n`,
      );
    });

    it('gives 127 for a script whose interpreter is missing', async () => {
      const path = file('orphan', '#!/no/such/interpreter\n', 0o755);
      expect((await execute(agent.client, { argv: [path] })).exit.exitCode).toBe(127);
    });
  });
});
