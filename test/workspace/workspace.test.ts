/** Workspaces against the real agent as an ordinary process: seed, diff, patch, reset. */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { applyPatch } from '../../src/sandboxes/workspace/apply-patch.js';
import { Baseline } from '../../src/sandboxes/workspace/baseline.js';
import { createBaseline } from '../../src/sandboxes/workspace/create-baseline.js';
import { type DiffOptions, diffWorkspace } from '../../src/sandboxes/workspace/diff-workspace.js';
import { restoreBaseline } from '../../src/sandboxes/workspace/fill-guest.js';
import type { GuestPlace } from '../../src/sandboxes/workspace/guest-place.js';
import { buildAgents, type LocalAgent, startLocalAgent } from '../support/agent.js';

beforeAll(buildAgents);

let agent: LocalAgent;
let directory: string;
/** What the guest sees as its workspace. */
let root: string;
let place: GuestPlace;
const seed = (name: string): string => join(directory, 'seed', name);
const at = (name: string): string => join(root, name);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-workspace-'));
  root = join(directory, 'guest');
  await mkdir(join(directory, 'seed'));
  await mkdir(join(directory, 'sandbox'));
  agent = await startLocalAgent();
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  place = { files: agent.client.files, root, owner };
});
afterEach(async () => {
  await agent.close();
  await rm(directory, { recursive: true });
});

const git = (...args: string[]): string =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], {
    cwd: join(directory, 'seed'),
    env: { PATH: process.env.PATH, GIT_CEILING_DIRECTORIES: directory },
  }).toString();

async function begin(options: { all?: boolean; path?: string } = {}): Promise<Baseline> {
  const { all, path = join(directory, 'seed') } = options;
  await createBaseline(join(directory, 'sandbox'), { seedPath: path, all });
  const baseline = await Baseline.open(join(directory, 'sandbox'));
  await restoreBaseline(place, baseline);
  return baseline;
}

async function fillSeed(): Promise<void> {
  await mkdir(seed('src/deep'), { recursive: true });
  await writeFile(seed('README.md'), '# Hello\n\nText.\n');
  await writeFile(seed('src/main.c'), 'int main(void)\n{\n\treturn 1;\n}\n');
  await writeFile(seed('src/deep/run'), '#!/bin/sh\necho run\n');
  await chmod(seed('src/deep/run'), 0o755);
  await writeFile(seed('bytes'), Buffer.from([0, 1, 2, 3]));
  await symlink('README.md', seed('link'));
}

const diff = async (baseline: Baseline, options?: DiffOptions) =>
  await diffWorkspace(place, baseline, options);

describe('a seed', () => {
  it('comes into the guest as it is: contents, modes, links, times', async () => {
    await fillSeed();
    await utimes(seed('README.md'), 1_000_000_000, 1_000_000_000);
    await using baseline = await begin();
    expect(readFileSync(at('src/main.c'), 'utf8')).toBe('int main(void)\n{\n\treturn 1;\n}\n');
    expect(lstatSync(at('src/deep/run')).mode & 0o777).toBe(0o755);
    expect(readlinkSync(at('link'))).toBe('README.md');
    expect(lstatSync(at('README.md')).mtimeMs).toBe(1_000_000_000_000);
    expect((await diff(baseline, { thorough: true })).files).toEqual([]);
  });

  it('of a repository is what Git tracks, as it is now (predecessors 4.6: seed only Git-tracked files)', async () => {
    await fillSeed();
    git('init', '-q');
    await writeFile(seed('.gitignore'), 'secret.env\n');
    git('add', '.');
    git('commit', '-qm', 'one');
    await writeFile(seed('README.md'), 'not committed\n');
    await writeFile(seed('new.txt'), 'not tracked\n');
    await writeFile(seed('secret.env'), 'TOKEN=1\n');
    rmSync(seed('bytes'));
    const { origin, leftOut } = await createBaseline(join(directory, 'sandbox'), {
      seedPath: join(directory, 'seed'),
    });
    expect(origin).toEqual({
      kind: 'git',
      path: join(directory, 'seed'),
      commit: git('rev-parse', 'HEAD').trim(),
    });
    expect(leftOut).toEqual({ untracked: 1, special: 0 });
    await using baseline = await Baseline.open(join(directory, 'sandbox'));
    expect([...baseline.entries.keys()]).toEqual([
      '.gitignore',
      'README.md',
      'link',
      'src',
      'src/deep',
      'src/deep/run',
      'src/main.c',
    ]);
    await restoreBaseline(place, baseline);
    expect(readFileSync(at('README.md'), 'utf8')).toBe('not committed\n');
  });

  it('of a directory in a repository is what is tracked below it; all of it when asked for', async () => {
    await fillSeed();
    git('init', '-q');
    git('add', 'src/main.c');
    await using tracked = await begin({ path: seed('src') });
    expect([...tracked.entries.keys()]).toEqual(['main.c']);
    rmSync(join(directory, 'sandbox/baseline'), { recursive: true });
    await using all = await begin({ path: seed('src'), all: true });
    expect([...all.entries.keys()]).toEqual(['deep', 'deep/run', 'main.c']);
  });

  it('does not follow a tracked directory that became a link', async () => {
    await fillSeed();
    git('init', '-q');
    git('add', '.');
    rmSync(seed('src'), { recursive: true });
    // The same names lie behind the link: only the link itself tells that they are not ours.
    const outside = join(directory, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'main.c'), 'private\n');
    await symlink(outside, seed('src'));
    await using baseline = await begin();
    expect([...baseline.entries.keys()]).toEqual(['README.md', 'bytes', 'link']);
  });

  it('runs nothing that a repository names', async () => {
    await fillSeed();
    git('init', '-q');
    git('add', '.');
    git('config', 'core.fsmonitor', `touch ${join(directory, 'ran')}; false`);
    await using _baseline = await begin();
    expect(existsSync(join(directory, 'ran'))).toBe(false);
  });

  it.each([
    ['plain', (tar: Buffer) => tar],
    ['gzip', (tar: Buffer) => gzipSync(tar)],
    ['zstd', (tar: Buffer) => execFileSync('zstd', ['-q', '-c'], { input: tar })],
  ])('comes from an archive: %s', async (_name, pack) => {
    await fillSeed();
    execFileSync('ln', [seed('README.md'), seed('zlink')]);
    const tar = execFileSync('tar', ['-C', join(directory, 'seed'), '-c', '.']);
    await writeFile(join(directory, 'seed.tar'), pack(tar));
    await using baseline = await begin({ path: join(directory, 'seed.tar') });
    expect(readFileSync(at('zlink'), 'utf8')).toBe('# Hello\n\nText.\n');
    expect((await diff(baseline, { thorough: true })).files).toEqual([]);
  });

  it.each<[string, string[], string]>([
    ['climbs out', ['--transform', 's,^README.md,../x,', 'README.md'], 'PATH_ESCAPES_ROOT'],
    ['is absolute', ['-P', '--transform', 's,^README.md,/x,', 'README.md'], 'PATH_ESCAPES_ROOT'],
    ['goes through a link', ['--transform', 's,^README.md,link/x,', 'link', 'README.md'], 'SEED_INVALID'],
    ['is a pipe', ['pipe'], 'SEED_INVALID'],
    ['is a file and a directory', ['--transform', 's,^README.md,src,', 'src', 'README.md'], 'SEED_INVALID'],
  ])(
    'from an archive is refused when a path in it %s (row pyro sync push: unsafe members)',
    async (_name, words, code) => {
      await fillSeed();
      execFileSync('mkfifo', [seed('pipe')]);
      const tar = execFileSync('tar', ['-C', join(directory, 'seed'), '-c', ...words]);
      await writeFile(join(directory, 'bad.tar'), tar);
      await expect(begin({ path: join(directory, 'bad.tar') })).rejects.toMatchObject({ code });
    },
  );

  it.each<[string, (path: string) => Promise<void>, string]>([
    ['missing', async () => {}, 'FILE_NOT_FOUND'],
    ['no archive', async (path) => await writeFile(path, 'x'.repeat(2000)), 'TAR_INVALID'],
    [
      'cut',
      async (path) =>
        await writeFile(path, execFileSync('tar', ['-c', '-C', '/bin', 'sh', '-h']).subarray(0, 5000)),
      'TAR_TRUNCATED',
    ],
  ])('is refused when it is %s', async (_name, make, code) => {
    const path = join(directory, 'other');
    await make(path);
    await expect(begin({ path })).rejects.toMatchObject({ code });
  });

  it.each([
    [4, 10, true],
    [3, 10, false],
    [4, 9, false],
  ])('holds to %d entries and %d bytes: %s', async (maxEntries, maxBytes, fits) => {
    await mkdir(seed('a'));
    await writeFile(seed('a/one'), '12345');
    await writeFile(seed('a/two'), '12345');
    await writeFile(seed('empty'), '');
    const made = createBaseline(
      join(directory, 'sandbox'),
      { seedPath: join(directory, 'seed') },
      { limits: { maxEntries, maxBytes } },
    );
    if (fits) expect(await made).toMatchObject({ entryCount: 4, sizeBytes: 10 });
    else await expect(made).rejects.toMatchObject({ kind: 'limit' });
  });

  it('with names that are not text goes in and shows up in the diff', async () => {
    const name = Buffer.concat([Buffer.from(`${join(directory, 'seed')}/`), Buffer.from([0xff, 0x20])]);
    await writeFile(name, 'x\n');
    await using baseline = await begin();
    await agent.client.files.write(
      Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0x20])]),
      Buffer.from('yy\n'),
    );
    const { patch, files } = await diff(baseline);
    expect(files).toMatchObject([{ path: '"\\377 "', change: 'modified' }]);
    expect(patch).toContain('--- "a/\\377 "\n');
  });
});

describe('the diff against the baseline', () => {
  it('is a patch that git apply takes and that gives the same tree (row pyro 2.6: structured export and baseline diff)', async () => {
    await fillSeed();
    await using baseline = await begin();
    await writeFile(at('README.md'), '# Hello\n\nMore text.\n');
    await writeFile(at('new file.txt'), 'new\n');
    await mkdir(at('a/b'), { recursive: true });
    await writeFile(at('a/b/c'), '');
    await chmod(at('src/main.c'), 0o755);
    rmSync(at('src/deep/run'));
    rmSync(at('link'));
    symlinkSync('src', at('link'));
    await writeFile(at('bytes'), Buffer.from([0, 9, 9]));
    const { patch, files, leftOutCount } = await diff(baseline, { binary: true });
    expect(leftOutCount).toBe(0);
    expect(files.map(({ path, change }) => `${change} ${path}`)).toEqual([
      'modified README.md',
      'added a/b/c',
      'modified bytes',
      'modified link',
      'added new file.txt',
      'deleted src/deep/run',
      'modified src/main.c',
    ]);
    const copy = join(directory, 'copy');
    await cp(join(directory, 'seed'), copy, { recursive: true, verbatimSymlinks: true });
    execFileSync('git', ['apply', '-'], {
      cwd: copy,
      input: patch,
      env: { PATH: process.env.PATH, GIT_CEILING_DIRECTORIES: directory },
    });
    execFileSync('rmdir', [join(root, 'src/deep')]);
    expect(execFileSync('diff', ['-r', '--no-dereference', copy, root]).toString()).toBe('');
    expect(lstatSync(join(copy, 'src/main.c')).mode & 0o100).toBe(0o100);
  });

  it('leaves the workspace as it is (row pyro diff/export never touch state)', async () => {
    await fillSeed();
    await using baseline = await begin();
    await writeFile(at('README.md'), 'x\n');
    const before = execFileSync('find', [root, '-printf', '%p %m %T@ %s %l\n']).toString();
    await diff(baseline, { thorough: true, binary: true });
    expect(execFileSync('find', [root, '-printf', '%p %m %T@ %s %l\n']).toString()).toBe(before);
  });

  it('finds what hides behind an old size and time when it is asked to be thorough', async () => {
    await fillSeed();
    await using baseline = await begin();
    const { atime, mtime } = lstatSync(seed('README.md'));
    await writeFile(at('README.md'), '# Jello\n\nText.\n');
    await utimes(at('README.md'), atime, mtime);
    execFileSync('touch', ['-r', seed('README.md'), at('README.md')]);
    expect((await diff(baseline)).files).toEqual([]);
    expect((await diff(baseline, { thorough: true })).files).toMatchObject([{ path: 'README.md' }]);
  });

  it('shows only the paths asked for', async () => {
    await fillSeed();
    await using baseline = await begin();
    await writeFile(at('README.md'), 'x\n');
    await writeFile(at('src/main.c'), 'x\n');
    await writeFile(at('srcs'), 'x\n');
    expect((await diff(baseline, { paths: ['src'] })).files.map(({ path }) => path)).toEqual(['src/main.c']);
  });

  it('is bounded, and says what it leaves out', async () => {
    await fillSeed();
    await using baseline = await begin();
    await writeFile(at('one'), 'x\n'.repeat(100));
    await writeFile(at('two'), 'x\n'.repeat(100));
    await writeFile(at('large'), Buffer.alloc(5 * 1024 * 1024, 'x'));
    execFileSync('mkfifo', [at('pipe')]);
    const { patch, files, leftOutCount } = await diff(baseline, { maxPatchBytes: 600 });
    expect(Buffer.byteLength(patch)).toBeLessThanOrEqual(600);
    expect(files.map(({ path, inPatch, change }) => [path, inPatch, change])).toEqual([
      ['large', false, 'added'],
      ['one', true, 'added'],
      ['pipe', false, 'special'],
      ['two', false, 'added'],
    ]);
    expect(leftOutCount).toBe(3);
  });

  it('of a workspace that is gone is that everything is gone', async () => {
    await fillSeed();
    await using baseline = await begin();
    rmSync(root, { recursive: true });
    const { files } = await diff(baseline);
    expect(files.every(({ change }) => change === 'deleted')).toBe(true);
    expect(files).toHaveLength(5);
    symlinkSync(join(directory, 'seed'), root);
    expect((await diff(baseline)).files).toEqual(files);
  });
});

describe('a reset', () => {
  it('makes the workspace what it was, whatever was done to it', async () => {
    await fillSeed();
    await using baseline = await begin();
    await writeFile(at('README.md'), 'x\n');
    await mkdir(at('src/more/deeper'), { recursive: true });
    rmSync(at('link'));
    await chmod(at('src/main.c'), 0o000);
    await restoreBaseline(place, baseline);
    expect((await diff(baseline, { thorough: true })).files).toEqual([]);
    expect(await readdir(at('src'))).toEqual(['deep', 'main.c']);
  });

  it('does not follow a link that was put in the place of the workspace', async () => {
    await fillSeed();
    await using baseline = await begin();
    const outside = join(directory, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'kept'), 'kept');
    rmSync(root, { recursive: true });
    symlinkSync(outside, root);
    await restoreBaseline(place, baseline);
    expect(readFileSync(join(outside, 'kept'), 'utf8')).toBe('kept');
    expect(lstatSync(root).isDirectory()).toBe(true);
  });

  it('tells of a baseline that is damaged', async () => {
    await fillSeed();
    await using baseline = await begin();
    const data = join(directory, 'sandbox/baseline/data');
    await writeFile(data, readFileSync(data).fill(1));
    await writeFile(at('README.md'), 'x\n');
    await expect(diff(baseline)).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    await writeFile(join(directory, 'sandbox/baseline/manifest.json'), '{');
    await expect(Baseline.open(join(directory, 'sandbox'))).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  });
});

describe('a patch', () => {
  const apply = (patch: string, options?: { check?: boolean }) =>
    applyPatch(place, Buffer.from(patch), options);
  const tree = (): string => execFileSync('find', [root, '-printf', '%P %y %m %s %l\n']).toString();

  it('of git itself is applied with all it can say (row pyro patch apply: unified diff, preflighted on the host)', async () => {
    await fillSeed();
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'one');
    await using baseline = await begin();
    git('mv', 'src/main.c', 'src/moved.c');
    await writeFile(seed('README.md'), '# Hello\n\nOther.\n');
    await writeFile(seed('added'), 'added\n');
    await chmod(seed('README.md'), 0o755);
    await writeFile(seed('bytes'), Buffer.from([0, 7]));
    rmSync(seed('link'));
    await writeFile(seed('link'), 'a file now\n');
    git('rm', '-q', 'src/deep/run');
    git('add', '-A');
    const patch = git('diff', '--cached', '--binary');
    expect(patch).toContain('rename from');
    const files = await apply(patch);
    expect(files).toContainEqual({ path: 'src/moved.c', change: 'added' });
    rmSync(seed('.git'), { recursive: true });
    expect(execFileSync('diff', ['-r', '--no-dereference', join(directory, 'seed'), root]).toString()).toBe(
      '',
    );
    expect(lstatSync(at('README.md')).mode & 0o100).toBe(0o100);
    expect((await diff(baseline, { binary: true })).leftOutCount).toBe(0);
  });

  it('that was made here brings a fresh workspace to the same tree', async () => {
    await fillSeed();
    await using baseline = await begin();
    await writeFile(at('README.md'), 'other\n');
    rmSync(at('src'), { recursive: true });
    rmSync(at('link'));
    await mkdir(at('link'));
    await writeFile(at('link/file'), 'a directory now\n');
    const { patch } = await diff(baseline, { binary: true });
    const wanted = tree();
    await restoreBaseline(place, baseline);
    await apply(patch);
    expect(tree()).toBe(wanted);
    expect((await diff(baseline, { binary: true })).patch).toBe(patch);
  });

  const readme = '--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,3 @@\n # Hello\n \n-Text.\n+More.\n';
  it.each<[string, string, string, string]>([
    [
      'other lines',
      `${readme}--- a/src/main.c\n+++ b/src/main.c\n@@ -1 +1 @@\n-void main\n+x\n`,
      'PATCH_CONFLICT',
      'expected',
    ],
    [
      'no such file',
      `${readme}--- a/none\n+++ b/none\n@@ -1 +1 @@\n-a\n+b\n`,
      'PATCH_CONFLICT',
      'no such file',
    ],
    [
      'a new file that is there',
      `${readme}--- /dev/null\n+++ b/bytes\n@@ -0,0 +1 @@\n+b\n`,
      'PATCH_CONFLICT',
      'exists',
    ],
    ['a directory', `${readme}--- a/src\n+++ b/src\n@@ -1 +1 @@\n-a\n+b\n`, 'PATCH_CONFLICT', 'directory'],
    [
      'a link as a file',
      `${readme}--- a/up/x\n+++ b/up/x\n@@ -1 +1 @@\n-a\n+b\n`,
      'PATCH_CONFLICT',
      'symlink',
    ],
    [
      'less than the file that goes',
      `${readme}--- a/src/main.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-int main(void)\n`,
      'PATCH_CONFLICT',
      'more lines',
    ],
    ['a path outside', `${readme}--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n`, 'PATH_ESCAPES_ROOT', ''],
  ])('that does not fit changes nothing: %s', async (_name, patch, code, reason) => {
    await fillSeed();
    await symlink('/tmp', seed('up'));
    await using _baseline = await begin();
    const before = tree();
    const error = await apply(patch).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code });
    if (reason !== '') expect(JSON.stringify(error)).toContain(reason);
    expect(tree()).toBe(before);
  });

  it('is undone when a rename fails half-way', async () => {
    await fillSeed();
    await using _baseline = await begin();
    const before = tree();
    const { files } = place;
    let renames = 0;
    const failing = new Proxy(files, {
      get: (target, key) => {
        if (key === 'rename') {
          return async (from: string, to: string) => {
            renames += 1;
            if (renames === 4) throw new Error('no more');
            await target.rename(from, to);
          };
        }
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const patch = `${readme}--- a/src/main.c\n+++ b/src/main.c\n@@ -1 +1 @@\n-int main(void)\n+x\n--- /dev/null\n+++ b/n/e/w\n@@ -0,0 +1 @@\n+b\n`;
    await expect(applyPatch({ ...place, files: failing }, Buffer.from(patch))).rejects.toThrow('no more');
    expect(tree()).toBe(before);
  });

  it('is only checked when that is asked for', async () => {
    await fillSeed();
    await using _baseline = await begin();
    const before = tree();
    expect(await apply(readme, { check: true })).toEqual([{ path: 'README.md', change: 'modified' }]);
    expect(tree()).toBe(before);
    await apply(readme);
    expect(readFileSync(at('README.md'), 'utf8')).toBe('# Hello\n\nMore.\n');
    expect(await readdir(root)).toEqual(['README.md', 'bytes', 'link', 'src']);
  });
});
