import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf, SHARED_HOME } from '../support/cli.js';
import { ask, JSON_HEADERS, type RunningDaemon, serve } from '../support/daemon.js';
import { quickest } from '../support/timing.js';

let name: string;
let daemon: RunningDaemon;

interface Sandbox {
  readonly id: string;
  readonly state: string;
  readonly stopReason: string | null;
  readonly failure: { readonly code: string; readonly details: Record<string, unknown> } | null;
  readonly pid: number | null;
  readonly health: string | null;
}
const inspect = async (): Promise<Sandbox> =>
  (jsonOf(await hearth(['inspect', name])) as unknown as { sandbox: Sandbox }).sandbox;
const inGuest = (...command: string[]): Promise<CliResult> => hearth(['exec', name, '--', ...command]);
const isAlive = async (pid: number): Promise<boolean> =>
  (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).startsWith('qemu');

async function killDaemon(): Promise<void> {
  daemon.child.kill('SIGKILL');
  await daemon.ended;
}

beforeEach(async () => {
  name = `fault-${randomBytes(4).toString('hex')}`;
  daemon = await serve(SHARED_HOME);
  await hearth(['create', '--start', '--name', name, '--memory', '256M', 'debian:12']);
});
afterEach(async () => {
  await hearth(['rm', '--force', name]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
});

describe('kill -9 of the daemon', () => {
  it('loses no VM and no detached command', async () => {
    const script = 'echo begun; sleep 4; echo survived > /root/proof; echo over; exit 6';
    const id = (await hearth(['exec', '-d', name, 'sh', '-c', script])).stdout.toString().trim();
    const before = await inspect();
    await killDaemon();
    daemon = await serve(SHARED_HOME);
    expect(daemon.stderr()).toContain('(1 running)');
    expect(await inspect()).toMatchObject({ state: 'running', pid: before.pid });
    const attached = await hearth(['exec', '--attach', id, name]);
    expect(attached.stdout.toString()).toBe('begun\nover\n');
    expect(attached.exitCode).toBe(6);
    expect((await inGuest('cat', '/root/proof')).stdout.toString()).toBe('survived\n');
  });

  it('in the middle of a snapshot leaves none, and a sandbox that goes on and can be saved', async () => {
    const script = 'i=0; while :; do i=$((i+1)); echo $i > /dev/shm/count; sleep 0.1; done';
    await hearth(['exec', '-d', name, '--', 'sh', '-c', script]);
    const count = async (): Promise<number> =>
      Number((await inGuest('cat', '/dev/shm/count')).stdout.toString());
    await expect.poll(count, { timeout: 30_000 }).toBeGreaterThan(0);
    const root = join(SHARED_HOME, 'data/snapshots');
    const unfinished = async (): Promise<string[]> =>
      (await readdir(root).catch(() => [])).filter((file) => file.startsWith('.snap-'));
    let client: { kill(signal: 'SIGKILL'): boolean } | undefined;
    const saving = hearth(['snapshot', 'create', name, 'first'], {
      onSpawn: (child) => {
        client = child;
      },
    });
    await expect
      .poll(
        async () => {
          const [directory = 'none'] = await unfinished();
          return await readdir(join(root, directory)).catch(() => []);
        },
        { timeout: 30_000, interval: 5 },
      )
      .toContain('whole-state');
    // The client first, or it would start another daemon.
    client?.kill('SIGKILL');
    await killDaemon();
    await saving;
    daemon = await serve(SHARED_HOME);
    expect(await unfinished()).toEqual([]);
    expect((await inspect()).state).toBe('running');
    const before = await count();
    await expect.poll(count, { timeout: 30_000 }).toBeGreaterThan(before);
    expect(jsonOf(await hearth(['snapshot', 'list', '--json', name])).snapshots).toEqual([]);
    expect(await hearth(['snapshot', 'create', name, 'first'])).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('leaves a paused VM paused', async () => {
    await hearth(['pause', name]);
    await killDaemon();
    daemon = await serve(SHARED_HOME);
    expect((await inspect()).state).toBe('paused');
    await hearth(['resume', name]);
    expect((await inGuest('echo', 'awake')).stdout.toString()).toBe('awake\n');
  });

  it('ends attached clients with an error, and the next command starts a daemon', async () => {
    const attached = hearth(['exec', name, 'sh', '-c', 'echo up; sleep 600'], {
      onSpawn: (child) => child.stdout.once('data', () => daemon.child.kill('SIGKILL')),
    });
    const { exitCode, stderr } = await attached;
    expect(stderr).toContain('error[DAEMON_UNREACHABLE]');
    expect(exitCode).toBe(125);
    await daemon.ended;
    expect((await inGuest('echo', 'back')).stdout.toString()).toBe('back\n');
  });

  it('in the middle of a start leaves a VM that is taken over, or none', async () => {
    await hearth(['stop', name]);
    const starting = hearth(['start', name]);
    // Asked at the daemon itself: a process for each question would be slower than the start.
    const body = JSON.stringify({ sandbox: name });
    const seen = async (): Promise<{ state: string; pid: number | null }> => {
      const answer = await ask(daemon.socketPath, 'POST', '/v1/sandbox.inspect', {
        headers: JSON_HEADERS,
        body,
      });
      return JSON.parse(answer.body).result.sandbox;
    };
    await expect.poll(seen, { interval: 5 }).toMatchObject({ state: 'starting', pid: expect.any(Number) });
    await killDaemon();
    expect((await starting).exitCode).toBe(7);
    daemon = await serve(SHARED_HOME);
    await expect.poll(async () => (await inspect()).state).toMatch(/^(?:running|failed)$/);
    expect((await hearth(['start', name])).exitCode).toBe(0);
    expect((await inGuest('echo', 'one')).stdout.toString()).toBe('one\n');
    expect(await vmsOf((await inspect()).id)).toHaveLength(1);
  });

  it('and then of the VM: the next daemon says that it is gone', async () => {
    const { pid } = await inspect();
    await killDaemon();
    process.kill(pid ?? 0, 'SIGKILL');
    await expect.poll(() => isAlive(pid ?? 0)).toBe(false);
    daemon = await serve(SHARED_HOME);
    expect(await inspect()).toMatchObject({ state: 'failed', failure: { code: 'VM_EXITED' }, pid: null });
    expect((await hearth(['start', name])).exitCode).toBe(0);
  });
});

describe('the end of a VM', () => {
  it('by kill -9 is noticed within 2 s, told to who waits, and harms no other', async () => {
    const killed = async (): Promise<number> => {
      await hearth(['start', name]);
      const { pid } = await inspect();
      let killedAt = 0;
      const running = hearth(['exec', name, 'sh', '-c', 'echo up; sleep 600'], {
        onSpawn: (child) =>
          child.stdout.once('data', () => {
            killedAt = performance.now();
            process.kill(pid ?? 0, 'SIGKILL');
          }),
      });
      const { stderr, exitCode } = await running;
      const tookMs = performance.now() - killedAt;
      expect(stderr).toContain('error[VM_EXITED]');
      expect(exitCode).toBe(125);
      expect(await inspect()).toMatchObject({
        state: 'failed',
        failure: { code: 'VM_EXITED', details: { signal: 'SIGKILL' } },
      });
      return tookMs;
    };
    // With the end of the client's process.
    expect(await quickest(2500, killed, 3)).toBeLessThan(2500);
  });

  it.each([
    ['poweroff', 'o'],
    ['reboot', 'b'],
  ])('by its guest (%s) is an end in order', async (_word, key) => {
    await inGuest('sh', '-c', `echo ${key} > /proc/sysrq-trigger; sleep 10`);
    await expect.poll(async () => await inspect()).toMatchObject({ state: 'stopped', stopReason: 'guest' });
  });

  it('by a panic of its kernel is a failure that says so', async () => {
    await inGuest('sh', '-c', 'echo c > /proc/sysrq-trigger; sleep 10');
    await expect.poll(async () => (await inspect()).state).toBe('failed');
    expect((await inspect()).failure?.details.guestEnd).toBe('panic');
  });

  it('22: that hangs is said of it while it does, and comes all the same', async () => {
    const { pid } = await inspect();
    const healthOf = async (): Promise<string | null> => (await inspect()).health;
    await expect.poll(healthOf, { timeout: 60_000, interval: 1000 }).toBe('responsive');
    process.kill(pid ?? 0, 'SIGSTOP');
    await expect.poll(healthOf, { timeout: 60_000, interval: 1000 }).toBe('unresponsive');
    expect((await hearth(['ps'])).stdout.toString()).toContain('running (unresponsive)');
    expect((await hearth(['kill', name])).exitCode).toBe(0);
    expect(await isAlive(pid ?? 0)).toBe(false);
    expect((await inspect()).state).toBe('stopped');
  });
});

describe('SIGTERM to the daemon', () => {
  it('shuts the guests down in order', async () => {
    const { pid } = await inspect();
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended).toBe(0);
    expect(await isAlive(pid ?? 0)).toBe(false);
    daemon = await serve(SHARED_HOME);
    expect(await inspect()).toMatchObject({ state: 'stopped', stopReason: 'shutdown' });
  });

  it('keeps them when it is told so', async () => {
    const { pid } = await inspect();
    await hearth(['serve', '--stop', '--keep']);
    await daemon.ended;
    expect(await isAlive(pid ?? 0)).toBe(true);
    expect((await inGuest('echo', 'still here')).stdout.toString()).toBe('still here\n');
  });
});

/** Numbers of the QEMUs whose working directory is that of the sandbox. */
async function vmsOf(id: string): Promise<string[]> {
  const { readlink } = await import('node:fs/promises');
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(
    pids.map(async (pid) =>
      (await readlink(`/proc/${pid}/cwd`).catch(() => '')).endsWith(`/${id}`) ? pid : '',
    ),
  );
  return found.filter((pid) => pid !== '');
}

describe('a published port', () => {
  it('carries connections into the guest, outlives the daemon, and is closed with its sandbox', async () => {
    const web = `${name}-web`;
    const script =
      'while :; do printf "HTTP/1.0 200 OK\\r\\n\\r\\nhello" | perl -MIO::Socket::INET -e \'' +
      '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 80, Listen => 5, ReuseAddr => 1); local $/; ' +
      "$answer = <STDIN>; while ($c = $s->accept) { sysread $c, $request, 4096; print $c $answer; close $c }'; done";
    try {
      await hearth(['create', '--start', '--name', web, '--memory', '256M', '-p', '80', 'debian:12']);
      await hearth(['exec', '-d', web, 'sh', '-c', script]);
      const listed = (await hearth(['port', web])).stdout.toString();
      const [, port] = /^80\/tcp -> 127\.0\.0\.1:(\d+)\n$/.exec(listed) ?? [];
      const get = async (): Promise<string> =>
        await fetch(`http://127.0.0.1:${port}/`).then(
          (response) => response.text(),
          () => 'nothing',
        );
      await expect.poll(get, { interval: 500 }).toBe('hello');
      await killDaemon();
      daemon = await serve(SHARED_HOME);
      expect((await hearth(['port', web])).stdout.toString()).toBe(listed);
      expect(await get()).toBe('hello');
      await hearth(['stop', web]);
      expect(await get()).toBe('nothing');
      expect((await hearth(['port', web])).stdout.toString()).toBe('');
    } finally {
      await hearth(['rm', '--force', web]);
    }
  });
});
