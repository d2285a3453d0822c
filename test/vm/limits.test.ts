/** What a sandbox may use: processes, memory, output. One VM for all of it. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf, SHARED_HOME } from '../support/cli.js';
import { type RunningDaemon, serve } from '../support/daemon.js';

const NAME = `limits-${randomBytes(4).toString('hex')}`;
const PIDS = 40;
let daemon: RunningDaemon;

const inGuest = (script: string, ...options: string[]): Promise<CliResult> =>
  hearth(['exec', ...options, NAME, 'sh', '-c', script]);
const sleepers = (count: number): string =>
  `i=0; while [ $i -lt ${count} ]; do sleep 600 & i=$((i + 1)); done; echo all; wait`;
const HUNGRY = "exec perl -e 'push @x, q(x) x 1_000_000 while 1'";

beforeAll(async () => {
  daemon = await serve(SHARED_HOME);
  const words = ['create', '--start', '--name', NAME, '--memory', '256M', '--pids-limit', String(PIDS)];
  const { exitCode, stderr } = await hearth([...words, 'debian:12']);
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
});
afterAll(async () => {
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
  await daemon.ended;
});

describe('--pids-limit', () => {
  it('counts all commands of a sandbox together, and outlives none of them', async () => {
    const first = await inGuest(sleepers(PIDS / 2 + 5), '-d');
    const id = first.stdout.toString().trim();
    await expect
      .poll(async () => (await hearth(['logs', '--exec', id, NAME])).stdout.toString(), { timeout: 60_000 })
      .toBe('all\n');
    const second = await inGuest(sleepers(PIDS / 2), '--timeout', '60s');
    expect(second.stderr.toLowerCase()).toContain('fork');
    expect(second.stdout.toString()).toBe('');
    expect(second.exitCode).not.toBe(0);
    // The agent is not of them: it answers, and ends the first.
    await inGuest('kill -9 -1');
    const inspected = jsonOf(await hearth(['inspect', NAME]));
    expect(inspected).toMatchObject({ sandbox: { state: 'running', pidsLimit: PIDS } });
    await expect
      .poll(async () => (await inGuest('true | true && echo alive')).stdout.toString(), { timeout: 60_000 })
      .toBe('alive\n');
  });

  it('holds a command of `run`', async () => {
    const words = ['run', '--memory', '256M', '--pids-limit', '5', 'debian:12', 'sh', '-c'];
    const { stdout, stderr, exitCode } = await hearth([...words, sleepers(10)]);
    expect(stderr.toLowerCase()).toContain('fork');
    expect(stdout.toString()).toBe('');
    expect(exitCode).not.toBe(0);
  });

  it.each(['0', '-1', '1.5', 'many', '4194305'])('%s is refused before anything is done', async (word) => {
    const { stderr, exitCode } = await hearth(['create', `--pids-limit=${word}`, 'debian:12']);
    expect(stderr).toContain('error[USAGE_INVALID]');
    expect(exitCode).toBe(2);
  });
});

describe('--max-output', () => {
  it('passes on so much of each stream, drops the rest, and says so', async () => {
    const result = await inGuest('printf 0123456789abc; printf xyz >&2; exit 3', '--max-output', '10');
    expect(result.stdout.toString()).toBe('0123456789');
    expect(result.stderr).toBe('xyzhearth: 3 B of output dropped (--max-output 10)\n');
    expect(result.exitCode).toBe(3);
  });

  it('lets a flood end in its own time', async () => {
    const result = await inGuest('head -c 3000000 /dev/zero; echo over >&2', '--max-output', '1K');
    expect(result.stdout.byteLength).toBe(1024);
    expect(result.stderr).toMatch(/^over\nhearth: 2\.86 MiB of output dropped/);
  });

  it('bounds the document of --json', async () => {
    const kept = jsonOf(await inGuest('printf 0123456789', '--json', '--max-output', '4'));
    expect(kept).toMatchObject({ stdout: '0123', stdoutBytes: 10, truncated: true, exitCode: 0 });
    const refused = await inGuest('true', '--json', '--max-output', '1G');
    expect(jsonOf(refused)).toMatchObject({ error: { code: 'USAGE_INVALID' } });
  });
});

describe('41: a command that eats the memory of its guest', () => {
  it('is killed and told with a code of its own, and its VM lives', async () => {
    const { stderr, exitCode } = await inGuest(HUNGRY);
    expect(stderr).toContain('error[EXEC_OUT_OF_MEMORY]');
    expect(exitCode).toBe(137);
    const json = jsonOf(await inGuest(HUNGRY, '--json'));
    expect(json).toMatchObject({ exitCode: 137, oomKilled: true, error: { code: 'EXEC_OUT_OF_MEMORY' } });
    expect((await inGuest('echo alive')).stdout.toString()).toBe('alive\n');
    const killed = jsonOf(await inGuest('kill -9 $$', '--json'));
    expect(killed).toMatchObject({ exitCode: 137, oomKilled: false });
    expect(killed.error).toBeUndefined();
  });

  it('is told by `run` as well', async () => {
    const { stderr, exitCode } = await hearth(['run', '--memory', '256M', 'debian:12', 'sh', '-c', HUNGRY]);
    expect(stderr).toContain('error[EXEC_OUT_OF_MEMORY]');
    expect(exitCode).toBe(137);
  });
});
