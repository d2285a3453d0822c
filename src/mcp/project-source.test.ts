import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runTool } from '../subprocess/index.js';
import { findProject, projectName, projectSeed } from './project-source.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'hearth-project-test-'));
});
afterEach(async () => {
  await rm(root, { recursive: true });
});

const told: string[] = [];
const call = {
  signal: new AbortController().signal,
  progress: ({ message }: { message: string }) => void told.push(message),
};

describe('the project around a directory', () => {
  it('is the work tree, but not a whole home', async () => {
    const home = join(root, 'home');
    const inner = join(home, 'project', 'src');
    await mkdir(inner, { recursive: true });
    expect(findProject(inner, { home })).toBeUndefined();
    await mkdir(join(home, '.git'));
    expect(findProject(inner, { home })).toBeUndefined();
    await writeFile(join(home, 'project', '.git'), 'gitdir: elsewhere');
    const project = { kind: 'directory', path: join(home, 'project') };
    expect(findProject(inner, { home })).toEqual(project);
    expect(findProject(join(home, 'project'), { home })).toEqual(project);
    expect(findProject('/', { home })).toBeUndefined();
  });
});

describe('the name of a project', () => {
  it.each([
    ['https://user:secret@example.org/a.git', 'https://example.org/a.git'],
    ['https://secret@example.org/a@b.git', 'https://example.org/a@b.git'],
    ['git@example.org:a.git', 'git@example.org:a.git'],
  ])('of %s has no password', (url, name) => {
    expect(projectName({ kind: 'repository', url })).toBe(name);
    expect(projectName({ kind: 'repository', url, ref: 'v1' })).toBe(`${name} at v1`);
  });
});

describe('a repository', () => {
  const git = async (...args: string[]) => {
    const identity = ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'commit.gpgsign=false'];
    await runTool('git', [...identity, ...args], { cwd: root });
  };

  it('is an archive of what one of its refs has, gone when it is done with', async () => {
    await git('init', '-q', '-b', 'main');
    await writeFile(join(root, 'one.txt'), '1');
    await git('add', '.');
    await git('commit', '-q', '-m', 'one');
    await git('tag', 'v1');
    await writeFile(join(root, 'two.txt'), '2');
    await git('add', '.');
    await git('commit', '-q', '-m', 'two');
    const list = async (ref?: string) => {
      const source = { kind: 'repository', url: root, ...(ref === undefined ? {} : { ref }) } as const;
      const seed = await projectSeed(source, call);
      const { stdout } = await runTool('tar', ['-tf', seed.path]);
      await seed[Symbol.asyncDispose]();
      expect(existsSync(dirname(seed.path))).toBe(false);
      return stdout.toString().trim().split('\n');
    };
    expect(await list()).toEqual(['one.txt', 'two.txt']);
    expect(await list('v1')).toEqual(['one.txt']);
    expect(told).toContain(`fetch ${root} at v1`);
    await expect(list('none')).rejects.toMatchObject({ code: 'PROJECT_UNAVAILABLE' });
  });

  it.each(['https://user:secret@127.0.0.1:1/none.git', 'ext::touch RAN'])(
    'that cannot be fetched is told without its password: %s',
    async (url) => {
      const failed = await projectSeed({ kind: 'repository', url }, call).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: 'PROJECT_UNAVAILABLE' });
      expect(JSON.stringify(failed)).not.toContain('secret');
    },
  );

  it('is none where the operator has given none', async () => {
    await expect(projectSeed(undefined, call)).rejects.toMatchObject({ code: 'PROJECT_UNAVAILABLE' });
  });
});
