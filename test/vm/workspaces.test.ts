/** A workspace in a real sandbox, as a user has it: seed, diff, patch, reset, restarts. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CliResult, hearth, jsonOf } from '../support/cli.js';

const NAME = `work-${randomBytes(4).toString('hex')}`;
let project: string;

const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], { cwd: project }).toString();
const sh = async (script: string): Promise<string> => {
  const { stdout, stderr, exitCode } = await hearth(['exec', NAME, '--', 'sh', '-c', script]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return stdout.toString();
};
const diff = async (...options: string[]): Promise<CliResult> =>
  await hearth(['workspace', 'diff', ...options, NAME]);

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'hearth-project-'));
  await mkdir(join(project, 'src'));
  await writeFile(join(project, 'src/calc.py'), 'def add(a, b):\n    return a - b\n');
  await writeFile(join(project, 'README.md'), '# Calc\n');
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'one');
  await writeFile(join(project, '.env'), 'SECRET=1\n');
  const created = await hearth([
    ...['create', '--start', '--name', NAME, '--memory', '256M', '--user', 'nobody'],
    ...['--seed-path', project, 'debian:12'],
  ]);
  expect(created.exitCode).toBe(0);
  expect(created.stderr).toBe(
    'note: left out 1 file that Git does not track; --seed-all takes in everything\n',
  );
});
afterAll(async () => {
  await hearth(['rm', '--force', NAME]);
  await hearth(['serve', '--stop']);
  await rm(project, { recursive: true });
});

it("holds what Git tracks, belongs to the sandbox's user, and is where commands start", async () => {
  expect(await sh('pwd; id -un; find . -type f | sort; stat -c %U . src')).toBe(
    '/workspace\nnobody\n./README.md\n./src/calc.py\nnobody\nnobody\n',
  );
  const { sandbox } = jsonOf(await hearth(['inspect', NAME])) as { sandbox: { workspace: unknown } };
  expect(sandbox.workspace).toMatchObject({
    seedPending: false,
    origin: { kind: 'git', path: project, commit: git('rev-parse', 'HEAD').trim() },
  });
});

it('takes a patch, and gives what changed back as one that git applies', async () => {
  const fix =
    '--- a/src/calc.py\n+++ b/src/calc.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n';
  const applied = await hearth(['patch', 'apply', NAME, '-'], { input: fix });
  expect(applied.stdout.toString()).toBe('M  src/calc.py\n');
  const again = await hearth(['patch', 'apply', NAME, '-'], { input: fix });
  expect(again.stderr).toContain('error[PATCH_CONFLICT]');
  expect(again.exitCode).toBe(5);
  await sh('echo new > new.txt');
  expect((await diff('--stat')).stdout.toString()).toBe('A  +1 -0  new.txt\nM  +1 -1  src/calc.py\n');
  const { stdout } = await diff();
  execFileSync('git', ['apply', '-'], { cwd: project, input: stdout });
  expect(await readFile(join(project, 'src/calc.py'), 'utf8')).toContain('a + b');
});

it('keeps its baseline through restarts of sandbox and daemon', async () => {
  const before = (await diff()).stdout.toString();
  await hearth(['stop', NAME]);
  expect((await diff()).stderr).toContain('error[SANDBOX_NOT_RUNNING]');
  await hearth(['serve', '--stop']);
  expect((await hearth(['start', NAME])).exitCode).toBe(0);
  expect((await diff()).stdout.toString()).toBe(before);
});

it('takes more files, and goes back to its beginning', async () => {
  await writeFile(join(project, 'pushed'), 'pushed\n');
  git('add', 'pushed');
  expect((await hearth(['workspace', 'push', '--to', 'sub', NAME, project])).exitCode).toBe(0);
  expect(await sh('cat sub/pushed')).toBe('pushed\n');
  expect((await hearth(['workspace', 'reset', NAME])).exitCode).toBe(0);
  expect((await diff('--thorough')).stdout.toString()).toBe('');
  expect(await sh('ls')).toBe('README.md\nsrc\n');
});

it('is there again when the sandbox gets its first disk back', async () => {
  await sh('echo changed > README.md');
  expect((await hearth(['reset', NAME])).exitCode).toBe(0);
  expect(await sh('cat README.md')).toBe('# Calc\n');
  expect((await diff('--thorough')).stdout.toString()).toBe('');
});

it('goes with a copy of the sandbox, and the baseline with it', async () => {
  const copy = `${NAME}-copy`;
  try {
    await sh('echo changed > README.md');
    expect((await hearth(['fork', '--name', copy, NAME])).exitCode).toBe(0);
    await sh('rm README.md');
    expect((await hearth(['workspace', 'diff', '--stat', copy])).stdout.toString()).toBe(
      'M  +1 -1  README.md\n',
    );
    expect((await hearth(['workspace', 'reset', copy])).exitCode).toBe(0);
    const { stdout } = await hearth(['exec', copy, '--', 'cat', 'README.md']);
    expect(stdout.toString()).toBe('# Calc\n');
  } finally {
    await hearth(['rm', '--force', copy]);
  }
});

it('is missed by name where a sandbox has none', async () => {
  const name = `${NAME}-none`;
  try {
    await hearth(['create', '--name', name, 'debian:12']);
    const { stderr, exitCode } = await hearth(['workspace', 'diff', name]);
    expect(stderr).toContain('error[WORKSPACE_MISSING]');
    expect(exitCode).toBe(5);
  } finally {
    await hearth(['rm', '--force', name]);
  }
});
