/** VMs that wait in the daemon's pool for `hearth run`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CLI, cliEnvironment, hearth, jsonOf, SHARED_HOME } from '../support/cli.js';

interface Pool {
  readonly waiting: number;
  readonly inUse: number;
  readonly claimed: number;
}
let daemon: ChildProcess;

const POLL = { timeout: 120_000, interval: 200 };

async function serve(): Promise<void> {
  daemon = spawn(process.execPath, [CLI, 'serve', '--pool', 'debian:12=2'], {
    env: cliEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // No command may ask for the daemon before it is there: it would start another one.
  let said = '';
  daemon.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await vi.waitFor(() => expect(said).toContain('pool: debian:12: 2 waiting'), POLL);
}

async function poolNow(): Promise<Pool | undefined> {
  const { stdout } = await hearth(['pool', '--json']);
  try {
    return (JSON.parse(stdout.toString()) as { pools: readonly Pool[] }).pools[0];
  } catch {
    return undefined;
  }
}

const filled = async (): Promise<void> =>
  await expect.poll(async () => (await poolNow())?.waiting, POLL).toBe(2);

/** Processes of QEMU whose directory is one of these VMs. */
async function vmms(): Promise<number> {
  const lines = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')),
  );
  return lines.filter((line) => line.includes(`${SHARED_HOME}/run/vms/`)).length;
}

const directories = async (): Promise<readonly string[]> =>
  (await readdir(`${SHARED_HOME}/run/vms`)).filter((name) => /^[0-9a-f]{12}$/.test(name));

beforeAll(async () => {
  await hearth(['serve', '--stop']);
  await serve();
});
afterAll(async () => {
  await hearth(['serve', '--stop']);
});

const SCRIPT = `uname -n; cat /etc/machine-id /proc/sys/kernel/random/uuid; head -c 32 /dev/urandom | od -An -tx1 -w32
perl -e 'my $b = "\\0" x 16; syscall(318, $b, 16, 0); print unpack("H*", $b), "\\n"'`;

describe('the pool', () => {
  it('gives commands VMs that share nothing they must have for themselves, and the right time', async () => {
    const outcomes = await Promise.all(
      [1, 2].map(async () => {
        const before = Date.now();
        const ran = jsonOf(
          await hearth(['run', '--json', 'debian:12', '--', 'sh', '-c', `date +%s%3N; ${SCRIPT}`]),
        );
        return { before, after: Date.now(), ...ran } as unknown as {
          readonly before: number;
          readonly after: number;
          readonly start: string;
          readonly stdout: string;
        };
      }),
    );
    const [one, two] = outcomes.map(({ stdout }) => stdout.trim().split('\n').slice(1));
    for (const { start, stdout, before, after } of outcomes) {
      expect(start).toBe('pool');
      const guestClock = Number(stdout.split('\n')[0]);
      expect(guestClock).toBeGreaterThan(before - 500);
      expect(guestClock).toBeLessThan(after + 500);
    }
    expect(one?.length).toBe(5);
    for (const [index, line] of (one ?? []).entries()) expect(line).not.toBe(two?.[index]);
    await filled();
    expect(await poolNow()).toMatchObject({ waiting: 2, inUse: 0, claimed: 2 });
  });

  it('is no other way to run: streams, exit codes, and nothing left', async () => {
    const script = 'cat; echo err >&2; echo $NAME; exit 7';
    const ran = await hearth(['run', '-i', '-e', 'NAME=value', 'debian:12', '--', 'sh', '-c', script], {
      input: 'in\n',
    });
    expect(ran).toMatchObject({ exitCode: 7, stderr: 'err\n' });
    expect(ran.stdout.toString()).toBe('in\nvalue\n');
    await filled();
    const much = await hearth(['run', 'debian:12', '--', 'sh', '-c', 'head -c 5000000 /dev/zero']);
    expect(much.stdout.byteLength).toBe(5_000_000);
    await filled();
    expect(await vmms()).toBe(2);
    expect((await directories()).length).toBe(2);
  });

  it('ends the VM of a command that is killed', async () => {
    const client = spawn(
      process.execPath,
      [CLI, 'run', 'debian:12', '--', 'sh', '-c', 'echo up; sleep 1000'],
      {
        env: cliEnvironment(),
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await once(client.stdout, 'data');
    expect(await poolNow()).toMatchObject({ inUse: 1, claimed: 5 });
    client.kill('SIGKILL');
    await expect.poll(async () => (await poolNow())?.inUse, POLL).toBe(0);
    await filled();
    expect(await vmms()).toBe(2);
  });

  it('ends with the daemon, killed though it be, and is then not missed', async () => {
    daemon.kill('SIGKILL');
    await expect.poll(vmms, POLL).toBe(0);
    const ran = jsonOf(await hearth(['run', '--json', 'debian:12', '--', 'true']));
    expect(ran).toMatchObject({ exitCode: 0, start: 'warm' });
    await serve();
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
    expect(await vmms()).toBe(0);
    expect(await directories()).toEqual([]);
    expect((await readdir(`${SHARED_HOME}/run`)).filter((name) => name.endsWith('.sock'))).toEqual([]);
  });
});
