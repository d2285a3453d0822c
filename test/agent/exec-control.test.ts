import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
/** Long enough for a shell to come to its first lines, on a busy machine too. */
const LIMIT_MS = 3000;
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

  async function isRunning(pid: number): Promise<boolean> {
    const { stdout } = await execute(agent.client, shell(`grep -s State: /proc/${pid}/status || true`));
    return stdout !== '' && !stdout.includes('Z');
  }

  describe('signals and time limits', () => {
    it('reach the whole process group', async () => {
      const guest = agent.client.exec(shell('trap "exit 9" TERM; sh -c "echo \\$\\$; exec sleep 60" & wait'));
      guest.stdout.once('data', () => guest.kill('SIGTERM'));
      const { stdout, exit } = await collect(guest);
      expect(exit.exitCode).toBe(9);
      await until(async () => !(await isRunning(Number(stdout))), 'the child to die of the signal');
    });

    it('reach the process alone when asked', async () => {
      const guest = agent.client.exec(shell('trap "exit 9" TERM; sh -c "echo \\$\\$; exec sleep 60" & wait'));
      guest.stdout.once('data', () => guest.kill('SIGTERM', 'process'));
      const { stdout, exit } = await collect(guest);
      expect(exit.exitCode).toBe(9);
      expect(await isRunning(Number(stdout))).toBe(true);
      await execute(agent.client, shell(`kill -9 ${stdout}`));
    });

    it('are refused when they are none', () => {
      const guest = agent.client.exec(shell('true'));
      for (const bad of [0, 65, -1, 1.5, Number.NaN]) {
        expect(() => guest.kill(bad)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }));
      }
    });

    it('ends the whole group at the time limit and delivers what was written', async () => {
      const before = performance.now();
      const { stdout, exit } = await execute(agent.client, {
        ...shell('echo before; sleep 600 & echo $!; trap "" TERM; wait; wait'),
        timeoutMs: LIMIT_MS,
      });
      const took = performance.now() - before;
      expect(exit).toMatchObject({ exitCode: 124, timedOut: true, signal: 'SIGKILL' });
      expect(took).toBeGreaterThanOrEqual(LIMIT_MS);
      expect(took).toBeLessThan(120_000);
      const [said, child] = stdout.split('\n');
      expect(said).toBe('before');
      await until(async () => !(await isRunning(Number(child))), 'the child to be killed');
    });

    it('asks first when there is a grace', async () => {
      const polite = await execute(agent.client, {
        ...shell('trap "echo bye; exit 7" TERM; while :; do sleep 0.05; done'),
        timeoutMs: LIMIT_MS,
        graceMs: 60_000,
      });
      expect(polite.exit).toMatchObject({ exitCode: 124, timedOut: true });
      expect(polite.stdout).toBe('bye\n');
      const stubborn = await execute(agent.client, {
        ...shell('trap "echo no" TERM; while :; do sleep 0.05; done'),
        timeoutMs: LIMIT_MS,
        graceMs: LIMIT_MS,
      });
      expect(stubborn.exit).toMatchObject({ exitCode: 124, timedOut: true, signal: 'SIGKILL' });
      expect(stubborn.stdout).toBe('no\n');
    });

    it('is not mistaken by a command that ends in time', async () => {
      expect((await execute(agent.client, { ...shell('exit 3'), timeoutMs: 60_000 })).exit).toMatchObject({
        exitCode: 3,
        timedOut: false,
      });
    });

    it('kills the command when the caller cancels, with the caller’s reason', async () => {
      const controller = new AbortController();
      const reason = new Error('enough');
      const guest = agent.client.exec(shell('echo $$; exec sleep 60'), { signal: controller.signal });
      const pid = Number(await new Promise((resolve) => guest.stdout.once('data', resolve)));
      controller.abort(reason);
      await expect(guest.exited).rejects.toBe(reason);
      await until(async () => !(await isRunning(pid)), 'the command to be killed');
    });

    it('never starts what is cancelled already', async () => {
      const reason = new Error('never');
      const guest = agent.client.exec(shell('true'), { signal: AbortSignal.abort(reason) });
      await expect(guest.exited).rejects.toBe(reason);
      await expect(guest.started).rejects.toBe(reason);
    });

    it('kills commands when the host goes away', async () => {
      const guest = agent.client.exec(shell('echo $$; exec sleep 60'));
      const pid = Number(await new Promise((resolve) => guest.stdout.once('data', resolve)));
      await agent.close();
      await expect(guest.exited).rejects.toMatchObject({ code: 'AGENT_DISCONNECTED' });
      agent = await startLocalAgent({ path });
      await until(async () => !(await isRunning(pid)), 'the command to be killed');
    });
  });

  describe('terminals', () => {
    const tty = { rows: 24, columns: 80 };

    it('are controlling terminals of the size given, with stderr on them', async () => {
      const script =
        'test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM && echo err >&2 && cat < /dev/tty';
      const guest = agent.client.exec({ ...shell(script), tty });
      let seen = '';
      guest.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        if (seen.endsWith('err\r\n')) guest.stdin?.write('typed\n\x04');
      });
      const { stdout, stderr, exit } = await collect(guest);
      expect(stdout).toBe('24 80\r\nxterm\r\nerr\r\ntyped\r\ntyped\r\n');
      expect(stderr).toBe('');
      expect(exit.exitCode).toBe(0);
    });

    it('are resized, and the command is told', async () => {
      const guest = agent.client.exec({
        ...shell('trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.05; done'),
        tty,
      });
      guest.stdout.once('data', () => guest.resize({ rows: 50, columns: 132 }));
      expect((await collect(guest)).stdout).toBe('ready\r\n50 132\r\n');
    });

    it('pass on the interrupt key', async () => {
      const guest = agent.client.exec({ argv: ['cat'], env: { PATH }, tty });
      guest.stdin?.write('line\n');
      let seen = '';
      guest.stdout.on('data', (chunk: Buffer) => {
        seen += chunk.toString();
        if (seen === 'line\r\nline\r\n') guest.stdin?.write('\x03');
      });
      expect((await collect(guest)).exit.signal).toBe('SIGINT');
    });

    it('end the input when the caller does', async () => {
      const { stdout, exit } = await execute(
        agent.client,
        { ...shell('stty -echo; cat; echo end'), tty },
        'line\n',
      );
      expect(stdout.replaceAll('\r\n', '|')).toContain('line|end|');
      expect(exit.exitCode).toBe(0);
    });

    it('deliver everything before the end', async () => {
      const { stdout } = await execute(agent.client, {
        ...shell('stty -opost; head -c 500000 /dev/zero | tr "\\0" x'),
        tty,
      });
      expect(stdout.length).toBe(500_000);
    });

    it('do not hang on a background process', async () => {
      const { exit } = await execute(agent.client, { ...shell('trap "" HUP; sleep 60 & exit 6'), tty });
      expect(exit.exitCode).toBe(6);
    });
  });

  describe('many at once', () => {
    it('runs a hundred commands side by side', async () => {
      const all = await Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          execute(agent.client, shell(`echo ${index}; exit ${index}`)),
        ),
      );
      expect(all.map(({ stdout, exit }) => [stdout, exit.exitCode])).toEqual(
        all.map((_, index) => [`${index}\n`, index]),
      );
    });

    it('refuses more than it can hold, and recovers', async () => {
      const guests = Array.from({ length: 140 }, () => agent.client.exec(shell('sleep 60')));
      const started = await Promise.allSettled(guests.map((guest) => guest.started));
      const refused = started.filter(({ status }) => status === 'rejected');
      expect(refused.length).toBeGreaterThan(0);
      for (const result of refused) {
        expect(result.status === 'rejected' && result.reason).toMatchObject({ code: 'AGENT_BUSY' });
      }
      for (const guest of guests) guest.kill('SIGKILL');
      await Promise.allSettled(guests.map((guest) => guest.exited));
      expect((await execute(agent.client, shell('echo again'))).stdout).toBe('again\n');
    });

    it('leaks no descriptor and no zombie over many commands', async () => {
      const count = async (): Promise<number> => {
        const { stdout } = await execute(agent.client, shell(`ls /proc/${agent.process.pid}/fd | wc -l`));
        return Number(stdout);
      };
      await count();
      const before = await count();
      for (let round = 0; round < 10; round++) {
        await Promise.all(
          Array.from({ length: 20 }, () => execute(agent.client, { argv: ['true'], env: { PATH } }, 'x')),
        );
        await execute(agent.client, { argv: ['no-such-command'] });
      }
      await until(async () => (await count()) <= before, 'the descriptors of commands to be closed');
      const children = shell(`ps --ppid ${agent.process.pid} -o stat=`);
      await until(async () => !(await execute(agent.client, children)).stdout.includes('Z'), 'no zombie');
    });
  });
});
