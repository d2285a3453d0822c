/** The project that sandboxes begin with: a directory of the host, or a repository fetched from where it is kept. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { HearthError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';

export type ProjectSource =
  | { readonly kind: 'directory'; readonly path: string }
  /** `ref`: a branch, tag or commit; default: what the repository calls HEAD. */
  | { readonly kind: 'repository'; readonly url: string; readonly ref?: string };

export interface ProjectSeed extends AsyncDisposable {
  /** Absolute path of a directory or a tar archive of the host. */
  readonly path: string;
}

interface SeedOptions {
  readonly signal: AbortSignal;
  readonly progress: (event: { readonly message: string }) => void;
}

const FETCH_TIMEOUT_MS = 10 * 60_000;
const PROTOCOLS = 'https:http:ssh:git:file';

/** The work tree of Git around a directory; undefined when there is none, or it is the whole home. */
export function findProject(
  directory: string,
  { home }: { readonly home: string },
): ProjectSource | undefined {
  for (let at = resolve(directory); dirname(at) !== at && at !== resolve(home); at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return { kind: 'directory', path: at };
  }
  return undefined;
}

/** How a person would name it; without the password that a URL may hold. */
export function projectName(source: ProjectSource): string {
  if (source.kind === 'directory') return source.path;
  const url = source.url.replace(/^([a-z+]+:\/\/)[^/@]*@/i, '$1');
  return source.ref === undefined ? url : `${url} at ${source.ref}`;
}

/**
 * What a sandbox is seeded from. A repository is fetched anew each time, and nothing of it is run or checked out
 * on the host.
 *
 * @throws {HearthError} `PROJECT_UNAVAILABLE`.
 */
export async function projectSeed(
  source: ProjectSource | undefined,
  { signal, progress }: SeedOptions,
): Promise<ProjectSeed> {
  if (source === undefined) {
    throw new HearthError('PROJECT_UNAVAILABLE', 'this server has no project', {
      hint: 'Ask the user: start it with `hearth mcp --project-path DIR`.',
    });
  }
  if (source.kind === 'directory') return { path: source.path, [Symbol.asyncDispose]: async () => {} };
  progress({ message: `fetch ${projectName(source)}` });
  const directory = await mkdtemp(join(tmpdir(), 'hearth-project-'));
  const remove = async (): Promise<void> => await rm(directory, { recursive: true, force: true });
  try {
    const path = join(directory, 'project.tar');
    await git(source, directory, ['init', '--quiet', '--bare', '.'], signal);
    const fetch = ['fetch', '--quiet', '--depth', '1', '--no-tags', '--', source.url, source.ref ?? 'HEAD'];
    await git(source, directory, fetch, signal);
    await git(source, directory, ['archive', '--format=tar', `--output=${path}`, 'FETCH_HEAD'], signal);
    return { path, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function git(
  source: ProjectSource & { readonly kind: 'repository' },
  cwd: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', GIT_ALLOW_PROTOCOL: PROTOCOLS, LC_ALL: 'C' };
  try {
    await runTool('git', args, {
      cwd,
      env,
      signal,
      timeoutMs: FETCH_TIMEOUT_MS,
      installHint: 'apt-get install git',
    });
  } catch (error) {
    signal.throwIfAborted();
    // What git says may hold the URL with its password.
    throw new HearthError('PROJECT_UNAVAILABLE', `git cannot fetch ${projectName(source)}`, {
      hint: 'Check --repo-url and --repo-ref of `hearth mcp`, and that git can fetch it without asking for a password.',
      details: { project: projectName(source) },
      ...(HearthError.is(error) && error.code === 'TOOL_NOT_FOUND' ? { cause: error } : {}),
    });
  }
}
