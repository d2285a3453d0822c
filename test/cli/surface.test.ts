/** The program as a process: what it prints without a VM, and how it ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_GROUPS } from '../../src/cli/commands.js';
import { hearth, jsonOf } from '../support/cli.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'hearth-cli-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const commands = COMMAND_GROUPS.flatMap((group) => group.commands);

describe('hearth', () => {
  it('says its version, shortly and in full', async () => {
    expect((await hearth(['--version'], { home })).stdout.toString()).toMatch(/^hearth \d+\.\d+\.\d+\n$/);
    expect(jsonOf(await hearth(['version', '--json'], { home }))).toMatchObject({
      schemaVersion: 1,
      hearth: expect.any(String),
    });
  });

  it.each([[[]], [['--help']], [['help']]])('shows every command for %j', async (args) => {
    const { stdout, exitCode } = await hearth(args, { home });
    for (const { name } of commands) expect(stdout.toString()).toContain(`  ${name}`);
    expect(exitCode).toBe(0);
  });

  it.each([
    [['rum'], 'Did you mean `hearth run`?'],
    [['frobnicate'], '`hearth --help`'],
    [['env'], '`hearth env list`'],
    [['version', '--frob'], '`hearth version --help`'],
  ])('%j: exit 2 and what to type instead', async (args, hint) => {
    const { stderr, stdout, exitCode } = await hearth(args, { home });
    expect(stderr).toContain('error[USAGE_INVALID]');
    expect(stderr).toContain(hint);
    expect([stdout.toString(), exitCode]).toEqual(['', 2]);
  });

  it('prints an error as one JSON document where JSON was asked for', async () => {
    const result = await hearth(['env', 'pull', 'no/such:tag', '--offline', '--json'], { home });
    expect(jsonOf(result)).toMatchObject({
      error: { code: 'OFFLINE', kind: 'unavailable', hint: expect.any(String) },
    });
    expect([result.stderr, result.exitCode]).toEqual(['', 7]);
  });

  it('diagnoses this machine, and --strict makes a warning fail', async () => {
    const result = await hearth(['doctor', '--json'], { home });
    const { checks, status } = jsonOf(result) as {
      checks: Array<{ id: string; status: string; fix?: string }>;
      status: string;
    };
    expect(checks.map(({ id }) => id)).toContain('qemu');
    for (const check of checks) expect(check.fix === undefined).toBe(check.status === 'pass');
    expect(result.exitCode).toBe(status === 'fail' ? 1 : 0);
  });

  it('names what is missing where nothing is installed', async () => {
    const result = await hearth(['doctor'], { home, env: { PATH: '/nonexistent' } });
    expect(result.stdout.toString()).toContain(
      'sudo apt-get install --no-install-recommends qemu-system-x86',
    );
    expect(result.exitCode).toBe(1);
  });
});

describe('every command', () => {
  it.each(commands.map((entry) => [entry.name, entry] as const))(
    '%s is what the table says, and has help',
    async (name, entry) => {
      const command = await entry.load();
      expect(command.name).toBe(name);
      expect(command.summary).not.toMatch(/\.$/);
      const { stdout, exitCode } = await hearth([...name.split(' '), '--help'], { home });
      expect(stdout.toString()).toContain(`Usage: hearth ${name}`);
      expect(
        stdout
          .toString()
          .split('\n')
          .filter((line) => line.length > 110),
      ).toEqual([]);
      expect(exitCode).toBe(0);
    },
  );
});
