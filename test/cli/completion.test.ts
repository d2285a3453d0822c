/** Completion as the shells themselves ask for it. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI, cliEnvironment, hearth } from '../support/cli.js';

const run = promisify(execFile);
let root: string;
let home: string;
let env: Record<string, string>;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hearth-completion-'));
  home = join(root, 'home');
  await mkdir(home, { mode: 0o700 });
  const program = join(root, 'hearth');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`);
  await chmod(program, 0o755);
  const base = cliEnvironment({ home });
  env = { ...base, PATH: `${root}:${base.PATH}`, HOME: root };
  for (const shell of ['bash', 'zsh', 'fish']) {
    await writeFile(join(root, shell), (await hearth(['completion', shell], { home })).stdout);
  }
  const sandboxes = {
    '00000000000a': '{"name":"web-1"}',
    '00000000000b': '{"name":"web-2"}',
    '00000000000c': `{"name":"web$(touch ${root}/pwned)"}`,
    '00000000000d': '{"name":',
    '.new-00000000000e': '{"name":"web-3"}',
  };
  for (const [id, record] of Object.entries(sandboxes)) {
    const directory = join(home, 'state/sandboxes', id);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, 'sandbox.json'), record);
  }
  await mkdir(join(home, 'data/kernels/my-kernel'), { recursive: true, mode: 0o700 });
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

async function inBash(line: string): Promise<string[]> {
  const script = `COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'; source ${root}/bash
    COMP_LINE=$1 COMP_POINT=\${#1}; _hearth; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', script, 'bash', line], { env, cwd: root });
  return stdout.split('\n').filter((word) => word !== '');
}

async function inZsh(line: string): Promise<string[]> {
  const script = `compdef() { : }; _files() { print -l files }; source ${root}/zsh
    _describe() { for word in \${(P)2}; do print -r -- \${\${word//\\\\:/@}%%:*}; done }
    words=("\${(@s: :)1}"); CURRENT=$#words; PREFIX=$words[-1]; _hearth`;
  const { stdout } = await run('zsh', ['-f', '-c', script, 'zsh', line], { env, cwd: root });
  return stdout
    .split('\n')
    .filter((word) => word !== '')
    .map((word) => word.replaceAll('@', ':'));
}

async function inFish(line: string): Promise<string[]> {
  const script = `source ${root}/fish; complete --do-complete=$argv[1]`;
  const { stdout } = await run('fish', ['--no-config', '-c', script, line], { env, cwd: root });
  return stdout.split('\n').flatMap((word) => (word === '' ? [] : [word.split('\t')[0] ?? '']));
}

const SHELLS = [
  ['bash', inBash],
  ['zsh', inZsh],
  ['fish', inFish],
] as const;

describe.each(SHELLS)('%s', (_shell, complete) => {
  it.each([
    ['hearth ver', ['version']],
    ['hearth cache ', ['df', 'prune']],
    ['hearth kernel ins', ['inspect']],
    ['hearth exec --max', ['--max-output']],
    ['hearth run --accel ', ['auto', 'kvm', 'tcg']],
    ['hearth exec web', ['web-1', 'web-2']],
    ['hearth exec -it -e A=b web-2', ['web-2']],
    ['hearth rm web-1 web-2 0', ['00000000000d']],
    ['hearth stop --time 3s web-1', ['web-1']],
    ['hearth kernel inspect my', ['my-kernel']],
    ['hearth completion z', ['zsh']],
  ])('%s', async (line, words) => {
    expect((await complete(line)).sort()).toEqual(words);
  });

  it('runs nothing that stands in a name', async () => {
    expect(await complete('hearth inspect ')).toEqual(expect.arrayContaining(['web-1', 'web-2']));
    await expect(run('ls', [join(root, 'pwned')])).rejects.toThrow();
  });
});

describe('a name with a colon', () => {
  it('is completed behind the colon, where bash cuts words', async () => {
    expect(await inBash('hearth run debian:12-b')).toEqual(['12-base', '12-build']);
    expect(await inZsh('hearth run debian:12-b')).toEqual(['debian:12-base', 'debian:12-build']);
    expect(await inFish('hearth run debian:12-b')).toEqual(['debian:12-base', 'debian:12-build']);
  });
});

describe('what hearth cannot know', () => {
  it.each(['hearth run debian:12 ', 'hearth run debian:12 -- l', 'hearth nothing ', 'hearth env list '])(
    '%j is left to the shell',
    async (line) => {
      expect(await inBash(line)).toEqual([]);
      expect(await inZsh(line)).toEqual(['files']);
    },
  );
});

it('asks without starting a daemon', async () => {
  await inBash('hearth exec ');
  await expect(run('ls', [join(home, 'run')])).rejects.toThrow();
});
