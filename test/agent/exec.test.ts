/**
 * The exec contract, line by line, against the real agent as an ordinary process.
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
import { collect, execute, type LocalAgent, startLocalAgent } from '../support/agent.js';

const PATH = '/usr/bin:/bin';
let agent: LocalAgent;
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hearth-exec-'));
});
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(async () => {
  agent = await startLocalAgent();
});
afterEach(() => agent.close());

const shell = (script: string) => ({ argv: ['/bin/sh', '-c', script], env: { PATH } });

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await condition()) return;
    await sleep(25);
  }
  throw new Error(`not within 5 s: ${what}`);
}

async function isRunning(pid: number): Promise<boolean> {
  const { stdout } = await execute(agent.client, shell(`grep -s State: /proc/${pid}/status || true`));
  return stdout !== '' && !stdout.includes('Z');
}

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
    expect((await execute(agent.client, { ...shell('pwd'), cwd: '/usr/share' })).stdout).toBe('/usr/share\n');
  });

  it('creates the directory only when asked', async () => {
    const cwd = join(directory, 'a/b');
    await expect(agent.client.exec({ ...shell('pwd'), cwd }).exited).rejects.toMatchObject({
      code: 'EXEC_CWD_INVALID',
      details: { errno: 'ENOENT' },
    });
    expect((await execute(agent.client, { ...shell('pwd'), cwd, createCwd: true })).stdout).toBe(`${cwd}\n`);
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
    expect((await execute(agent.client, { argv: [path, 'a', 'b c'] })).stdout).toBe(`plain ${path} a b c\n`);
  });

  it('gives 127 for a script whose interpreter is missing', async () => {
    const path = file('orphan', '#!/no/such/interpreter\n', 0o755);
    expect((await execute(agent.client, { argv: [path] })).exit.exitCode).toBe(127);
  });
});

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
    expect((await execute(agent.client, shell(`kill -${name} $$`))).exit).toMatchObject({ exitCode, signal });
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
    expect(exit).toMatchObject({ exitCode: 0, stdoutBytes: bytes.byteLength, stderrBytes: bytes.byteLength });
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
      shell('echo now; (sleep 0.02; echo late; sleep 60) & exit 4'),
    );
    expect(performance.now() - before).toBeLessThan(3000);
    expect(exit.exitCode).toBe(4);
    expect(stdout).toBe('now\nlate\n');
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
    const { exit } = await execute(agent.client, shell('sleep 0.1'));
    expect(exit.runtimeUs).toBeGreaterThan(100_000);
    expect(exit.runtimeUs).toBeLessThan(5_000_000);
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
    for (let at = 0; at < bytes.byteLength; at += 99_991) guest.stdin?.write(bytes.subarray(at, at + 99_991));
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

describe('signals and time limits', () => {
  it('reach the whole process group', async () => {
    const guest = agent.client.exec(shell('trap "exit 9" TERM; sleep 60 & echo $!; wait'));
    guest.stdout.once('data', () => guest.kill('SIGTERM'));
    const { stdout, exit } = await collect(guest);
    expect(exit.exitCode).toBe(9);
    await until(async () => !(await isRunning(Number(stdout))), 'the child to die of the signal');
  });

  it('reach the process alone when asked', async () => {
    const guest = agent.client.exec(shell('trap "exit 9" TERM; sleep 60 & echo $!; wait'));
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
      ...shell('echo before; sleep 60 & echo $!; trap "" TERM; wait; wait'),
      timeoutMs: 300,
    });
    const took = performance.now() - before;
    expect(exit).toMatchObject({ exitCode: 124, timedOut: true, signal: 'SIGKILL' });
    expect(took).toBeGreaterThanOrEqual(300);
    expect(took).toBeLessThan(5000);
    const [said, child] = stdout.split('\n');
    expect(said).toBe('before');
    await until(async () => !(await isRunning(Number(child))), 'the child to be killed');
  });

  it('asks first when there is a grace', async () => {
    const polite = await execute(agent.client, {
      ...shell('trap "echo bye; exit 7" TERM; while :; do sleep 0.05; done'),
      timeoutMs: 200,
      graceMs: 10_000,
    });
    expect(polite.exit).toMatchObject({ exitCode: 124, timedOut: true });
    expect(polite.stdout).toBe('bye\n');
    const stubborn = await execute(agent.client, {
      ...shell('trap "echo no" TERM; while :; do sleep 0.05; done'),
      timeoutMs: 200,
      graceMs: 200,
    });
    expect(stubborn.exit).toMatchObject({ exitCode: 124, timedOut: true, signal: 'SIGKILL' });
    expect(stubborn.stdout).toBe('no\n');
  });

  it('is not mistaken by a command that ends in time', async () => {
    expect((await execute(agent.client, { ...shell('exit 3'), timeoutMs: 10_000 })).exit).toMatchObject({
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
    agent = await startLocalAgent();
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
    const guest = agent.client.exec({ ...shell('echo ready; sleep 60'), tty });
    guest.stdout.once('data', () => guest.stdin?.write('\x03'));
    const { exit } = await collect(guest);
    expect([130, 'SIGINT']).toContain(exit.signal ?? exit.exitCode);
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
      Array.from({ length: 100 }, (_, index) => execute(agent.client, shell(`echo ${index}; exit ${index}`))),
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
    const count = async (): Promise<string> => {
      const { stdout } = await execute(agent.client, shell(`ls /proc/${agent.process.pid}/fd | wc -l`));
      return stdout;
    };
    await count();
    const before = await count();
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Array.from({ length: 20 }, () => execute(agent.client, { argv: ['true'], env: { PATH } }, 'x')),
      );
      await execute(agent.client, { argv: ['no-such-command'] });
    }
    expect(await count()).toBe(before);
    const { stdout } = await execute(agent.client, shell(`ps --ppid ${agent.process.pid} -o stat=`));
    expect(stdout).not.toContain('Z');
  });
});
