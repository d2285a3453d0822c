import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { hearth, jsonOf, SHARED_HOME } from '../support/cli.js';

const run = (...args: string[]) => hearth(['run', ...args]);

/** What a run may leave behind: nothing. */
async function vmDirectories(): Promise<string[]> {
  const names = await readdir(`${SHARED_HOME}/run/vms`).catch(() => []);
  return names.filter((name) => name !== '.sweep');
}

describe('hearth run', () => {
  it('prints from inside a microVM', async () => {
    const { exitCode, stdout, stderr } = await run(
      'debian:12',
      '--',
      'sh',
      '-c',
      'uname -sr; git --version; cat /proc/1/comm',
    );
    expect(stderr).toBe('');
    expect(stdout.toString()).toMatch(
      /^Linux 6\.\d+.*-cloud-amd64\ngit version 2\..*\n(?:init|hearth-agent)\n$/,
    );
    expect(exitCode).toBe(0);
    expect(await vmDirectories()).toEqual([]);
  });

  it('keeps stdout and stderr apart and byte-exact', async () => {
    const bytes = randomBytes(300_000);
    const { exitCode, stdout, stderr } = await hearth(
      ['run', '-i', 'debian:12', 'sh', '-c', 'cat; printf "\\033[1merr\\000" >&2'],
      {
        input: bytes,
      },
    );
    expect(exitCode).toBe(0);
    expect(stdout.equals(bytes)).toBe(true);
    expect(stderr).toBe('\u001b[1merr\u0000');
  });

  it('closes stdin without -i', async () => {
    const { stdout } = await hearth(['run', 'debian:12', 'sh', '-c', 'cat; echo end'], {
      input: 'never read',
    });
    expect(stdout.toString()).toBe('end\n');
  });

  it.each([
    ['its own exit code', ['sh', '-c', 'exit 7'], 7],
    ['255', ['sh', '-c', 'exit 255'], 255],
    ['127 for a command that is not there', ['no-such-command'], 127],
    ['127 for a path that is not there', ['/no/such/path'], 127],
    ['126 for a file that is not executable', ['/etc/passwd'], 126],
    ['128+n for a signal', ['sh', '-c', 'kill -TERM $$'], 143],
  ])('passes on %s', async (_name, command, code) => {
    expect((await run('debian:12', '--', ...command)).exitCode).toBe(code);
  });

  it('ends a command that takes too long with 124, and shows what it wrote', async () => {
    const { exitCode, stdout } = await run(
      '--timeout',
      '6s',
      'debian:12',
      'sh',
      '-c',
      'echo before; sleep 600 & sleep 600',
    );
    expect(exitCode).toBe(124);
    expect(stdout.toString()).toBe('before\n');
  });

  it('gives the command its environment, directory and user', async () => {
    const { stdout } = await hearth(
      [
        'run',
        '-e',
        'A=1 2',
        '-e',
        'FROM_HOST',
        '-w',
        '/var',
        '-u',
        'daemon',
        'debian:12',
        'sh',
        '-c',
        'echo "$A|$FROM_HOST"; pwd; id -un; id -gn; echo $HOME',
      ],
      { env: { FROM_HOST: 'h' } },
    );
    expect(stdout.toString()).toBe('1 2|h\n/var\ndaemon\ndaemon\n/usr/sbin\n');
  });

  it('gives the VM its processors and memory', async () => {
    const { stdout } = await run(
      '--cpus',
      '2',
      '--memory',
      '384M',
      'debian:12',
      'sh',
      '-c',
      'nproc; awk "/MemTotal/ {print \\$2}" /proc/meminfo',
    );
    const [cpus, kib] = stdout.toString().trim().split('\n').map(Number);
    expect(cpus).toBe(2);
    expect(kib).toBeGreaterThan(300 * 1024);
    expect(kib).toBeLessThan(384 * 1024);
  });

  it('grows the disk', async () => {
    const { stdout } = await run(
      '--disk',
      '32G',
      'debian:12',
      'sh',
      '-c',
      'df --output=size -B1G / | tail -1; touch /x && echo writable',
    );
    const [gib, writable] = stdout.toString().trim().split('\n');
    expect(Number(gib)).toBeGreaterThanOrEqual(30);
    expect(writable).toBe('writable');
  });

  it('has no network device', async () => {
    expect((await run('debian:12', 'ls', '/sys/class/net')).stdout.toString()).toBe('lo\n');
  });

  it('prints one JSON document with --json', async () => {
    const result = await run('--json', 'debian:12', 'sh', '-c', 'echo out; echo err >&2; exit 3');
    expect(jsonOf(result)).toMatchObject({
      schemaVersion: 1,
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
      timedOut: false,
      environment: 'debian:12',
      accelerator: expect.stringMatching(/^(?:kvm|tcg)$/),
      durationsMs: { boot: expect.any(Number), exec: expect.any(Number) },
    });
    expect(result.exitCode).toBe(3);
  });

  it('stops at Ctrl-C and leaves nothing behind', async () => {
    const result = await hearth(['run', 'debian:12', 'sh', '-c', 'echo up; sleep 600'], {
      onSpawn: (child) => child.stdout.once('data', () => child.kill('SIGINT')),
    });
    expect(result.exitCode).toBe(130);
    expect(await vmDirectories()).toEqual([]);
  });

  it('takes its VM with it when it is killed, and the next run removes what it left', async () => {
    const result = await hearth(['run', 'debian:12', 'sh', '-c', 'echo up; sleep 600'], {
      onSpawn: (child) => child.stdout.once('data', () => child.kill('SIGKILL')),
    });
    expect(result.signal).toBe('SIGKILL');
    expect((await vmDirectories()).length).toBeGreaterThan(0);
    expect((await run('debian:12', 'true')).exitCode).toBe(0);
    expect(await vmDirectories()).toEqual([]);
  });
});

describe('hearth run with bad input', () => {
  it.each([
    ['an unknown environment', ['--offline', 'debain:12', 'true'], 'OFFLINE'],
    ['a malformed reference', ['ghcr.io/UPPER/x', 'true'], 'REFERENCE_INVALID'],
    ['too little memory', ['--memory', '1M', 'debian:12', 'true'], 'MEMORY_TOO_SMALL'],
    ['a bad size', ['--memory', 'lots', 'debian:12', 'true'], 'SIZE_INVALID'],
    ['no command', ['--entrypoint', '', 'debian:12'], 'USAGE_INVALID'],
    ['an unknown option', ['--frobnicate', 'debian:12', 'true'], 'USAGE_INVALID'],
    ['no image', [], 'USAGE_INVALID'],
    ['an unknown user', ['-u', 'nobody-here', 'debian:12', 'true'], 'EXEC_USER_UNKNOWN'],
  ])('%s: exit 125 and a code', async (_name, args, code) => {
    const { exitCode, stderr, stdout } = await run(...args);
    expect(stderr).toContain(`error[${code}]`);
    expect(stderr).toContain('hint: ');
    expect(stdout.toString()).toBe('');
    expect(exitCode).toBe(125);
    expect(await vmDirectories()).toEqual([]);
  });
});
