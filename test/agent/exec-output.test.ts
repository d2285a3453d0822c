/**
 * What goes into and comes out of a command: the exec contract, line by line, against the real agent as an ordinary process.
 * What needs a kernel of its own (control groups, out of memory, clock) is in test/vm/agent.test.ts.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AGENTS,
  buildAgents,
  collect,
  execute,
  type LocalAgent,
  shell,
  startLocalAgent,
  until,
} from '../support/agent.js';

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

  describe('output and exit', () => {
    it.each([0, 1, 2, 124, 125, 126, 127, 128, 137, 255])('passes on exit code %d', async (code) => {
      const { exit } = await execute(agent.client, shell(`exit ${code}`));
      expect(exit).toMatchObject({ exitCode: code, timedOut: false, oomKilled: false });
      expect(exit.signal).toBeUndefined();
      expect(exit.failure).toBeUndefined();
    });

    it.each([
      ['TERM', 'SIGTERM', 143],
      ['KILL', 'SIGKILL', 137],
      ['SEGV', 'SIGSEGV', 139],
      ['HUP', 'SIGHUP', 129],
    ])('tells of signal %s', async (name, signal, exitCode) => {
      expect((await execute(agent.client, shell(`kill -${name} $$`))).exit).toMatchObject({
        exitCode,
        signal,
      });
    });

    it('keeps stdout and stderr apart and byte-exact', async () => {
      const bytes = randomBytes(3_000_000);
      const path = join(directory, 'bytes');
      writeFileSync(path, bytes);
      const guest = agent.client.exec(shell(`cat ${path} & cat ${path} >&2; wait`));
      const [stdout, stderr, exit] = await Promise.all([
        buffer(guest.stdout),
        buffer(guest.stderr),
        guest.exited,
      ]);
      expect(stdout.equals(bytes)).toBe(true);
      expect(stderr.equals(bytes)).toBe(true);
      expect(exit).toMatchObject({
        exitCode: 0,
        stdoutBytes: bytes.byteLength,
        stderrBytes: bytes.byteLength,
      });
    });

    it('delivers all of what was written before the end', async () => {
      for (let round = 0; round < 20; round++) {
        const { stdout } = await execute(agent.client, {
          argv: ['head', '-c', '60000', '/dev/zero'],
          env: { PATH },
        });
        expect(stdout.length).toBe(60_000);
      }
    });

    it('is not held up by a background process that keeps the output open', async () => {
      const before = performance.now();
      const { stdout, exit } = await execute(
        agent.client,
        shell('echo now; (sleep 0.02; echo late; sleep 600) & exit 4'),
      );
      expect(performance.now() - before).toBeLessThan(120_000);
      expect(exit.exitCode).toBe(4);
      // On a busy machine the second line may come after the time that is given to it.
      expect(['now\nlate\n', 'now\n']).toContain(stdout);
    });

    it('does not kill that process when it writes later', async () => {
      const path = join(directory, 'survivor');
      await execute(agent.client, shell(`(sleep 0.5; echo 1; echo 2; echo done > ${path}) & exit 0`));
      await until(
        async () => (await readdir(directory)).includes('survivor'),
        'the background process to finish',
      );
    });

    it('ends although a background process floods the output', async () => {
      const path = join(directory, 'flood');
      const { exit } = await execute(agent.client, shell(`yes & echo $! > ${path}; exit 3`));
      expect(exit.exitCode).toBe(3);
      await execute(agent.client, shell(`kill -9 $(cat ${path})`));
    });

    it('stops a flood that nobody reads, and nothing else', async () => {
      const flood = agent.client.exec({ argv: ['yes'], env: { PATH } });
      await flood.started;
      for (let round = 0; round < 20; round++) {
        expect((await execute(agent.client, shell('echo ok'))).stdout).toBe('ok\n');
      }
      flood.kill('SIGKILL');
      const { stdout, exit } = await collect(flood);
      // The window, the pipe and what the agent had read when it was killed.
      expect(stdout.length).toBeLessThanOrEqual(128 * 1024 + 16 * 1024 + 2 * 64 * 1024);
      expect(exit.signal).toBe('SIGKILL');
    });

    it('goes on when the reader is gone', async () => {
      const guest = agent.client.exec({ argv: ['head', '-c', '1000000', '/dev/zero'], env: { PATH } });
      guest.stdout.destroy();
      expect(await guest.exited).toMatchObject({ exitCode: 0, stdoutBytes: 1_000_000 });
    });

    it('measures time and memory', async () => {
      const before = performance.now();
      const { exit } = await execute(agent.client, shell('sleep 0.1'));
      expect(exit.runtimeUs).toBeGreaterThan(100_000);
      expect(exit.runtimeUs).toBeLessThanOrEqual((performance.now() - before) * 1000);
      expect(exit.maxRssKib).toBeGreaterThan(100);
    });
  });

  describe('standard input', () => {
    it('is closed unless asked for', async () => {
      const guest = agent.client.exec(shell('cat; readlink /proc/self/fd/0'));
      expect(guest.stdin).toBeUndefined();
      expect((await collect(guest)).stdout).toBe('/dev/null\n');
    });

    it('arrives byte-exact, whatever the pieces', async () => {
      const bytes = randomBytes(1_000_003);
      const guest = agent.client.exec({ argv: ['cat'], env: { PATH }, stdin: true });
      for (let at = 0; at < bytes.byteLength; at += 99_991)
        guest.stdin?.write(bytes.subarray(at, at + 99_991));
      guest.stdin?.end();
      const [stdout] = await Promise.all([buffer(guest.stdout), buffer(guest.stderr), guest.exited]);
      expect(stdout.equals(bytes)).toBe(true);
    });

    it('ends when the caller ends it, also without a byte', async () => {
      expect((await execute(agent.client, { ...shell('cat; echo end') }, '')).stdout).toBe('end\n');
    });

    it('is held back while the command does not read', async () => {
      const guest = agent.client.exec({ ...shell('sleep 60'), stdin: true });
      await guest.started;
      for (let written = 0; written < 20; written++) guest.stdin?.write(Buffer.alloc(64 * 1024));
      await sleep(300);
      // The pipe, the agent's buffer and the window are full; the rest waits here.
      expect(guest.stdin?.writableLength).toBeGreaterThan(1024 * 1024);
      guest.kill('SIGKILL');
      expect((await guest.exited).signal).toBe('SIGKILL');
    });

    it('swallows what a command does not want, and the call ends with it', async () => {
      const guest = agent.client.exec({ ...shell('exec <&-; echo closed; sleep 0.3; exit 5'), stdin: true });
      guest.stdin?.end(Buffer.alloc(1_000_000));
      const { stdout, exit } = await collect(guest);
      expect(stdout).toBe('closed\n');
      expect(exit.exitCode).toBe(5);
    });

    it('may come before the command has started, and for one that never does', async () => {
      const guest = agent.client.exec({ argv: ['no-such-command'], stdin: true });
      guest.stdin?.end(Buffer.alloc(500_000));
      expect((await guest.exited).exitCode).toBe(127);
      expect(await agent.client.ping()).toBeGreaterThan(0);
    });
  });
});
