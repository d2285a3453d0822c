/** Services and shells in a real sandbox: ready or not, output, ports, the end of the daemon and of the VM. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hearth, jsonOf } from '../support/cli.js';

const NAME = `run-on-${randomBytes(4).toString('hex')}`;
const WAIT_MS = 60_000;

interface ServiceJson {
  readonly service: {
    readonly state: string;
    readonly exitCode: number | null;
    readonly readyAt: string | null;
    readonly ports: readonly { readonly hostPort: number }[];
  };
}
interface ReadJson {
  readonly output: string;
  readonly cursor: number;
  readonly running: boolean;
  readonly exitCode: number | null;
}

const run = async (...args: string[]): Promise<string> => {
  const { stdout, stderr, exitCode } = await hearth(args);
  expect({ args, exitCode, stderr }).toEqual({ args, exitCode: 0, stderr: '' });
  return stdout.toString();
};
const start = async (name: string, script: string, ...options: string[]) =>
  await hearth(['service', 'start', ...options, NAME, name, '--', 'sh', '-c', script]);
const status = async (name: string): Promise<ServiceJson['service']> =>
  (jsonOf(await hearth(['service', 'status', '--json', NAME, name])) as unknown as ServiceJson).service;
const read = async (shell: string, ...options: string[]): Promise<ReadJson> =>
  jsonOf(await hearth(['shell', 'read', '--json', ...options, NAME, shell])) as unknown as ReadJson;

async function until<T>(look: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)}`);
    await sleep(100);
  }
}

beforeAll(async () => {
  await run('create', '--start', '--name', NAME, '--memory', '256M', 'debian:12');
});
afterAll(async () => {
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
});

describe('a service', () => {
  it('is ready when its file is there, and tells what it wrote', async () => {
    const started = await start(
      'app',
      'echo one; echo two >&2; touch /run/ok; exec sleep 9999',
      '--ready-file',
      '/run/ok',
    );
    expect(started).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await status('app')).toMatchObject({
      state: 'running',
      readyAt: expect.any(String),
      exitCode: null,
    });
    const logs = await hearth(['service', 'logs', NAME, 'app']);
    expect([logs.stdout.toString(), logs.stderr]).toEqual(['one\n', 'two\n']);
    const again = await start('app', 'true');
    expect(again.stderr).toContain('error[SERVICE_EXISTS]');
    expect(again.exitCode).toBe(5);
  });

  it('is ready when a command succeeds; its directory and variables are those given', async () => {
    const options = ['--ready-command', 'test -s /tmp/where', '-w', '/usr', '-e', 'A=b'];
    expect(await start('where', 'echo $PWD $A > /tmp/where; exec sleep 9999', ...options)).toMatchObject({
      exitCode: 0,
    });
    expect(await run('exec', NAME, '--', 'cat', '/tmp/where')).toBe('/usr b\n');
  });

  it('is stopped when it is not ready in time', async () => {
    const late = await start('late', 'exec sleep 9999', '--ready-tcp', '1', '--ready-timeout', '1s');
    expect(late.stderr).toContain('error[SERVICE_NOT_READY]');
    expect(late.exitCode).toBe(8);
    expect(await status('late')).toMatchObject({ state: 'failed' });
  });

  it('that ends before it is ready says how, and what it wrote stays', async () => {
    const broken = await start('late', 'echo no >&2; exit 3', '--ready-tcp', '1');
    expect(broken.stderr).toContain('error[SERVICE_FAILED]');
    expect(broken.stderr).toContain('exit code 3');
    expect(await status('late')).toMatchObject({ state: 'exited', exitCode: 3 });
    expect((await hearth(['service', 'logs', NAME, 'late'])).stderr).toBe('no\n');
  });

  it('has ports of this host while it runs', async () => {
    const script = `exec perl -e '${PERL_SERVER}'`;
    const started = await start('web', script, '--ready-http', 'http://127.0.0.1:7777/', '-p', '7777');
    expect(started).toMatchObject({ exitCode: 0, stderr: '' });
    expect(started.stdout.toString()).toMatch(/^web\n7777\/tcp -> 127\.0\.0\.1:\d+\n$/);
    const { ports } = await status('web');
    const url = `http://127.0.0.1:${ports[0]?.hostPort}/`;
    expect(await (await fetch(url)).text()).toBe('hello');

    // The daemon goes, the service does not.
    expect((await hearth(['serve', '--stop', '--keep'])).exitCode).toBe(0);
    expect(await status('web')).toMatchObject({ state: 'running', ports });
    expect(await (await fetch(url)).text()).toBe('hello');
    const logs = await hearth(['service', 'logs', NAME, 'app']);
    expect([logs.stdout.toString(), logs.stderr]).toEqual(['one\n', 'two\n']);

    await run('service', 'stop', NAME, 'web');
    expect(await status('web')).toMatchObject({ state: 'stopped', ports: [] });
    await expect(fetch(url)).rejects.toThrow();
  });

  it('is refused what could not be', async () => {
    expect((await start('x', 'true', '-p', '0.0.0.0:8080:80')).stderr).toContain('error[PORT_DENIED]');
    expect((await start('-x', 'true')).exitCode).toBe(2);
    const missing = await hearth(['service', 'stop', NAME, 'none']);
    expect(missing.stderr).toContain('error[SERVICE_NOT_FOUND]');
  });
});

const PERL_SERVER = [
  'use IO::Socket::INET;',
  'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:7777", Listen => 5, ReuseAddr => 1) or die;',
  'while (my $c = $s->accept) {',
  'while (my $l = <$c>) { last if $l =~ /^\\r?\\n$/ }',
  'print $c "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nhello"; close $c }',
].join(' ');

describe('a shell', () => {
  let shell: string;

  it('keeps its state between calls and gives what came after a cursor, without control sequences', async () => {
    shell = (await run('shell', 'open', NAME)).trim();
    expect(shell).toMatch(/^\d+$/);
    await run('shell', 'write', NAME, shell, 'cd /usr; VALUE=4$((1+1))');
    await run('shell', 'write', NAME, shell, 'printf \'\\033[31m%s %s\\033[0m\\n\' "$PWD" "$VALUE"');
    const first = await until(
      () => read(shell),
      ({ output }) => output.includes('/usr 42\n'),
    );
    expect(first.output).not.toContain('\x1b');
    await run('shell', 'write', NAME, shell, 'echo after');
    const rest = await until(
      () => read(shell, '--cursor', String(first.cursor), '--wait-idle', '200ms'),
      ({ output }) => output.includes('\nafter\n'),
    );
    expect(rest.output).not.toContain('/usr 42');
  });

  it('is interrupted as by Ctrl-C, and goes on', async () => {
    await run('shell', 'write', NAME, shell, 'echo began; sleep 9999; echo ended $?');
    await until(
      () => read(shell),
      ({ output }) => output.includes('\nbegan\n'),
    );
    await run('shell', 'signal', NAME, shell);
    await run('shell', 'write', NAME, shell, 'echo still $((20+3))');
    await until(
      () => read(shell),
      ({ output }) => output.includes('still 23'),
    );
  });

  it('outlives the daemon with what it has written', async () => {
    expect((await hearth(['serve', '--stop', '--keep'])).exitCode).toBe(0);
    expect((await read(shell)).output).toContain('/usr 42\n');
    await run('shell', 'write', NAME, shell, 'echo "$VALUE again"');
    await until(
      () => read(shell),
      ({ output }) => output.includes('42 again\n'),
    );
    expect(await run('shell', 'list', NAME)).toContain(`${shell} `);
  });

  it('says how it ended, and takes no more input', async () => {
    await run('shell', 'write', NAME, shell, 'exit 7');
    expect(
      await until(
        () => read(shell),
        ({ running }) => !running,
      ),
    ).toMatchObject({ exitCode: 7 });
    const late = await hearth(['shell', 'write', NAME, shell, 'x']);
    expect(late.stderr).toContain('error[EXEC_CONFLICT]');
    await run('shell', 'close', NAME, shell);
    expect((await hearth(['shell', 'read', NAME, shell])).stderr).toContain('error[SHELL_NOT_FOUND]');
  });
});

it('what was done is told by the summary, and orders the list', async () => {
  expect((await hearth(['exec', NAME, '--', 'sh', '-c', 'exit 3'])).exitCode).toBe(3);
  const text = await run('summary', NAME);
  expect(text.split('\n')[0]).toMatch(new RegExp(`^# ${NAME}: what happened since \\d{4}-`));
  expect(text).toContain("- `sh -c 'exit 3'` → 3\n");
  expect(text).toContain('- service.stop `web`\n');
  expect(text).toContain('- `app` running\n');
  const { sandboxes } = jsonOf(await hearth(['ps', '--json', '--sort', 'activity'])) as unknown as {
    sandboxes: { name: string }[];
  };
  expect(sandboxes.map(({ name }) => name)).toContain(NAME);
  expect((await hearth(['ps', '--sort', 'x'])).exitCode).toBe(2);
});

it('both have ended when their VM has', async () => {
  const shell = (await run('shell', 'open', NAME, '--', 'cat')).trim();
  await run('stop', '--time', '1s', NAME);
  await run('start', NAME);
  expect(await status('app')).toMatchObject({ state: expect.stringMatching(/^(stopped|exited)$/) });
  expect(await read(shell)).toMatchObject({ running: false });
});
