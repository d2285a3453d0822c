import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliOptions, type CliResult, hearth, jsonOf } from '../support/cli.js';

const NAME = `exec-${randomBytes(4).toString('hex')}`;

const inGuest = (options: string[], command: string[], cli?: CliOptions): Promise<CliResult> =>
  hearth(['exec', ...options, NAME, '--', ...command], cli);
const sh = (script: string, cli?: CliOptions, ...options: string[]): Promise<CliResult> =>
  inGuest(options, ['sh', '-c', script], cli);

interface Shown {
  readonly sandbox: { readonly id: string; readonly state: string; readonly pid: number | null } & Record<
    string,
    unknown
  >;
  readonly execs: ReadonlyArray<{ readonly execId: number; readonly running: boolean }>;
}
const inspect = async (name = NAME): Promise<Shown> =>
  jsonOf(await hearth(['inspect', name])) as unknown as Shown;

beforeAll(async () => {
  const created = await hearth([
    'create',
    '--start',
    '--name',
    NAME,
    '--memory',
    '256M',
    '-e',
    'OF=sandbox',
    'debian:12',
  ]);
  expect(created.stderr).toBe('');
  expect(created.stdout.toString()).toBe(`${NAME}\n`);
});
afterAll(async () => {
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
});

describe('exec', () => {
  it('keeps every word as it is', async () => {
    const words = ['a b', '', '$HOME', '*', 'ü"\'\\', '--json', '-x', 'line\nbreak'];
    const { stdout } = await inGuest([], ['printf', '[%s]', ...words]);
    expect(stdout.toString()).toBe(words.map((word) => `[${word}]`).join(''));
  });

  it('keeps stdout and stderr apart and byte-exact, both ways', async () => {
    const bytes = randomBytes(1_500_000);
    const { exitCode, stdout, stderr } = await sh('cat; printf "\\033err\\000" >&2', { input: bytes }, '-i');
    expect(stdout.equals(bytes)).toBe(true);
    expect(stderr).toBe('\u001berr\u0000');
    expect(exitCode).toBe(0);
  });

  it('closes stdin without -i', async () => {
    expect((await sh('cat; echo end', { input: 'never read' })).stdout.toString()).toBe('end\n');
  });

  it.each([
    ['its own exit code', ['sh', '-c', 'exit 7'], 7],
    ['127 for a command that is not there', ['no-such-command'], 127],
    ['126 for a file that is not executable', ['/etc/passwd'], 126],
    ['128+n for a signal', ['sh', '-c', 'kill -TERM $$'], 143],
  ])('passes on %s', async (_name, command, code) => {
    expect((await inGuest([], command)).exitCode).toBe(code);
  });

  it('has the variables of the sandbox, and those of the command over them', async () => {
    const { stdout } = await sh(
      'echo $OF $MINE; pwd; id -un',
      {},
      '-e',
      'MINE=1',
      '-w',
      '/tmp',
      '-u',
      'nobody',
    );
    expect(stdout.toString()).toBe('sandbox 1\n/tmp\nnobody\n');
    expect((await sh('echo $OF', {}, '-e', 'OF=command')).stdout.toString()).toBe('command\n');
  });

  it.each([
    ['an unknown user', ['-u', 'nobody-here'], 'EXEC_USER_UNKNOWN'],
    ['a directory that is not there', ['-w', '/no/such/dir'], 'EXEC_CWD_INVALID'],
  ])('refuses %s with 125 and a code', async (_name, options, code) => {
    const { exitCode, stderr } = await inGuest(options, ['true']);
    expect(stderr).toContain(`error[${code}]`);
    expect(exitCode).toBe(125);
  });

  it('ends all of a command at its time limit with 124, and shows what it wrote', async () => {
    const { exitCode, stdout } = await sh('echo before; sleep 777 & sleep 777', {}, '--timeout', '5s');
    expect(exitCode).toBe(124);
    expect(stdout.toString()).toBe('before\n');
    await expect
      .poll(async () => (await sh('cat /proc/[0-9]*/cmdline | tr "\\0" " "')).stdout.toString())
      .not.toContain('sleep 777');
  });

  it('ends with its command, whoever holds its pipes', async () => {
    const startedAt = performance.now();
    const { stdout, exitCode } = await sh('sleep 600 & echo done');
    expect(exitCode).toBe(0);
    expect(stdout.toString()).toBe('done\n');
    expect(performance.now() - startedAt).toBeLessThan(120_000);
  });

  it('passes signals on', async () => {
    const { exitCode, stdout } = await sh(
      'trap "echo caught; exit 9" TERM; echo up; while :; do sleep 0.1; done',
      {
        onSpawn: (child) => child.stdout.once('data', () => child.kill('SIGTERM')),
      },
    );
    expect(stdout.toString()).toBe('up\ncaught\n');
    expect(exitCode).toBe(9);
  });

  it('is held back by a reader that does not read', async () => {
    let produced = 0;
    const flood = hearth(['exec', NAME, '--', 'sh', '-c', 'yes | head -c 200000000'], {
      onSpawn: (child) => {
        child.stdout.pause();
        setTimeout(() => {
          child.stdout.on('data', (chunk: Buffer) => {
            produced += chunk.byteLength;
            child.kill('SIGKILL');
          });
          child.stdout.resume();
        }, 3000);
      },
    });
    const other = await sh('echo others go on');
    expect(other.stdout.toString()).toBe('others go on\n');
    await flood;
    expect(produced).toBeLessThan(10_000_000);
    const { sandbox } = await inspect();
    expect(sandbox.state).toBe('running');
  });

  it('prints one JSON document with --json', async () => {
    const result = await sh('echo out; echo err >&2; exit 3', {}, '--json');
    expect(jsonOf(result)).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', timedOut: false });
    expect(result.exitCode).toBe(3);
  });

  it('dies with a client that is killed, unless it is detached', async () => {
    await hearth(['exec', NAME, 'sh', '-c', 'echo up; exec sleep 888'], {
      onSpawn: (child) => child.stdout.once('data', () => child.kill('SIGKILL')),
    });
    await expect
      .poll(async () => (await sh('cat /proc/[0-9]*/cmdline | tr "\\0" " "')).stdout.toString())
      .not.toContain('sleep 888');
  });

  it('leaves a detached command running, and takes it up again from where its output begins', async () => {
    const started = await sh(
      'echo one; echo bad >&2; until [ -e /tmp/go ]; do sleep 0.2; done; echo two; exit 5',
      {},
      '-d',
    );
    const id = started.stdout.toString().trim();
    expect(started.exitCode).toBe(0);
    expect(id).toMatch(/^\d+$/);
    await expect
      .poll(async () => (await hearth(['logs', '--exec', id, NAME])).stdout.toString())
      .toBe('one\n');
    expect((await inspect()).execs).toContainEqual(
      expect.objectContaining({ execId: Number(id), running: true }),
    );
    await sh('touch /tmp/go');
    const attached = await hearth(['exec', '--attach', id, NAME]);
    expect(attached.stdout.toString()).toBe('one\ntwo\n');
    expect(attached.stderr).toBe('bad\n');
    expect(attached.exitCode).toBe(5);
  });

  it('tells why a command was killed for lack of memory', async () => {
    const { exitCode, stderr } = await sh('head -c 400000000 /dev/zero | tail');
    expect(exitCode).not.toBe(0);
    expect((await sh('echo alive')).stdout.toString()).toBe('alive\n');
    expect(stderr).toMatch(/^$|EXEC_OUT_OF_MEMORY|Killed/);
  });
});

describe('a sandbox', () => {
  it('is listed, measured and changed', async () => {
    const { sandbox } = await inspect();
    const listed = await hearth(['ps']);
    expect(listed.stdout.toString()).toContain(NAME);
    for (const line of listed.stdout.toString().split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    const stats = jsonOf(await hearth(['stats', '--json', NAME])) as {
      stats: Array<Record<string, unknown>>;
    };
    expect(stats.stats).toMatchObject([{ name: NAME, host: { privateBytes: expect.any(Number) } }]);
    await hearth(['update', '--label', 'team=web', '--label', 'x=y', NAME]);
    await hearth(['update', '--remove-label', 'x', NAME]);
    expect((await inspect()).sandbox.labels).toEqual({ team: 'web' });
    expect((await hearth(['ps', '-q', '--label', 'team=web'])).stdout.toString()).toBe(`${sandbox.id}\n`);
    expect((await hearth(['ps', '-q', '--label', 'team=db'])).stdout.toString()).toBe('');
    expect((await inspect(sandbox.id.slice(0, 8))).sandbox.id).toBe(sandbox.id);
  });

  it('has one name, and keeps it', async () => {
    const second = await hearth(['create', '--name', NAME, 'debian:12']);
    expect(second.stderr).toContain('error[SANDBOX_EXISTS]');
    expect(second.exitCode).toBe(5);
    expect((await hearth(['create', '--name', '../x', 'debian:12'])).stderr).toContain('error[NAME_INVALID]');
  });

  it('stands still while it is paused, and knows the time afterwards', async () => {
    await hearth(['pause', NAME]);
    const refused = await sh('true');
    expect(refused.stderr).toContain('error[SANDBOX_NOT_RUNNING]');
    expect(refused.stderr).toContain(`hearth resume ${NAME}`);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await hearth(['resume', NAME]);
    const asked = Date.now() / 1000;
    const seconds = Number((await sh('date +%s')).stdout.toString());
    expect(seconds).toBeGreaterThan(asked - 2.5);
    expect(seconds).toBeLessThan(Date.now() / 1000 + 1);
  });

  it('is not removed while it runs, and keeps its disk when it is stopped', async () => {
    expect((await hearth(['rm', NAME])).stderr).toContain('error[SANDBOX_STATE_CONFLICT]');
    await sh('echo kept > /root/file; sync');
    expect((await hearth(['stop', NAME])).exitCode).toBe(0);
    expect((await inspect()).sandbox).toMatchObject({ state: 'stopped', stopReason: 'stop', pid: null });
    expect((await hearth(['start', NAME])).exitCode).toBe(0);
    expect((await sh('cat /root/file; hostname')).stdout.toString()).toBe(`kept\n${NAME}\n`);
  });

  it('is stopped when it is idle, not while something runs in it', async () => {
    let begun: () => void = () => {};
    const up = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const running = sh('echo up; until [ -e /tmp/through ]; do sleep 0.2; done; echo through', {
      onSpawn: (child) => child.stdout.once('data', () => begun()),
    });
    await up;
    await hearth(['update', '--idle-timeout', '2s', NAME]);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    expect((await inspect()).sandbox).toMatchObject({ state: 'running' });
    await sh('touch /tmp/through');
    expect((await running).stdout.toString()).toBe('up\nthrough\n');
    await expect
      .poll(async () => (await inspect()).sandbox, { interval: 500 })
      .toMatchObject({ state: 'stopped', stopReason: 'idle' });
    await hearth(['update', '--idle-timeout', 'none', NAME]);
    expect((await hearth(['start', NAME])).exitCode).toBe(0);
  });

  it('is removed when its time is up, and leaves nothing', async () => {
    const name = `${NAME}-short`;
    await hearth(['create', '--name', name, '--ttl', '3s', 'debian:12']);
    await expect.poll(async () => (await hearth(['inspect', name])).exitCode, { interval: 500 }).toBe(3);
  });

  it('grows its disk', async () => {
    const name = `${NAME}-disk`;
    try {
      await hearth(['create', '--start', '--name', name, '--memory', '256M', '--disk', '8G', 'debian:12']);
      const { stdout } = await hearth(['exec', name, 'df', '--output=size', '-B1G', '/']);
      expect(Number(stdout.toString().trim().split('\n').at(-1))).toBeGreaterThanOrEqual(7);
    } finally {
      await hearth(['rm', '--force', name]);
    }
  });
});
