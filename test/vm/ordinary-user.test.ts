/**
 * Nothing in hearth needs root: the packed package, run by an ordinary user with a home of its own, pulls
 * `debian:12` and runs a command. As root this makes such a user; as anybody else it is the one who runs the tests.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { REPOSITORY } from '../support/cli.js';

const USER = 'hearth-test';
const isRoot = process.getuid?.() === 0;
let place: string;

function removeUser(): void {
  if (isRoot && spawnSync('id', [USER]).status === 0) execFileSync('userdel', [USER], { stdio: 'ignore' });
}

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'hearth-user-'));
  const packed = execFileSync('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', place], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  });
  execFileSync('tar', ['-xzf', join(place, packed.trim().split('\n').at(-1) ?? ''), '-C', place]);
  const { dependencies } = JSON.parse(readFileSync(join(place, 'package/package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) {
    cpSync(join(REPOSITORY, 'node_modules', name), join(place, 'package/node_modules', name), {
      recursive: true,
    });
  }
  removeUser();
  if (isRoot) {
    execFileSync('useradd', [
      '--no-create-home',
      '--home-dir',
      join(place, 'home'),
      '--shell',
      '/bin/sh',
      USER,
    ]);
    execFileSync('chown', ['-R', USER, place]);
  }
});
afterAll(() => {
  removeUser();
  rmSync(place, { recursive: true, force: true });
});

it('an ordinary user gets from nothing to a command in a microVM', () => {
  const command = [
    process.execPath,
    join(place, 'package/dist/cli/main.js'),
    'run',
    '--json',
    'debian:12',
    '--',
    'sh',
    '-c',
    'id -u; git --version',
  ];
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: join(place, 'home'),
    LANG: 'C.UTF-8',
    HEARTH_HOME: join(place, 'home'),
  };
  const [program = '', ...args] = isRoot
    ? ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', ...command]
    : command;
  const run = spawnSync(program, args, { env: environment, cwd: place, encoding: 'utf8' });
  expect(run.stderr).toBe('');
  expect(JSON.parse(run.stdout)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^0\ngit version 2\./),
    source: 'debian-packages',
  });
  if (isRoot) {
    const owners = execFileSync('find', [join(place, 'home'), '-not', '-user', USER], { encoding: 'utf8' });
    expect(owners).toBe('');
  }
});
