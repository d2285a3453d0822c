/** The files of a directory that Git tracks, with what is in them now, committed or not. */
import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { HearthError } from '../../errors/index.js';
import { runTool } from '../../subprocess/index.js';
import type { BaselineWriter } from './baseline-writer.js';
import { hostPath, type LeftOut, readOne } from './read-directory.js';

const MAX_LIST_BYTES = 64 * 1024 * 1024;
const GIT_TIMEOUT_MS = 120_000;

/** Whether the directory belongs to a work tree of Git: it or one above it has a `.git`. */
export async function isInRepository(directory: string): Promise<boolean> {
  for (let at = directory; ; at = dirname(at)) {
    if ((await lstat(join(at, '.git')).catch(() => undefined)) !== undefined) return true;
    if (dirname(at) === at) return false;
  }
}

/** The commit that is checked out; null before the first. */
export async function headCommit(directory: string, signal?: AbortSignal): Promise<string | null> {
  const { exitCode, stdout } = await git(
    directory,
    ['rev-parse', '--verify', '--quiet', 'HEAD'],
    signal,
    [0, 1, 128],
  );
  return exitCode === 0 ? stdout.toString('latin1').trim() : null;
}

/**
 * Puts the tracked files of `root`, also those of its submodules, into the writer.
 *
 * @throws {HearthError} `SEED_INVALID` when Git tracks nothing there, `TOOL_NOT_FOUND`, `TOOL_FAILED`.
 */
export async function readTrackedFiles(
  root: string,
  writer: BaselineWriter,
  signal: AbortSignal | undefined,
): Promise<LeftOut> {
  const tracked = await list(root, ['--cached', '--recurse-submodules'], signal);
  const untracked = await list(root, ['--others', '--exclude-standard'], signal);
  if (tracked.length === 0) {
    throw new HearthError('SEED_INVALID', `Git tracks no file in ${root}`, {
      hint: 'Track the files with `git add`, or seed everything there with --seed-all.',
      details: { path: root, untracked: untracked.length },
    });
  }
  const links = new Map<string, boolean>();
  let special = 0;
  for (const path of new Set(tracked)) {
    signal?.throwIfAborted();
    // What Git tracks below a directory that is a link by now lies elsewhere.
    if (await isBelowLink(root, path, links)) continue;
    if ((await readOne(root, path, writer)) === 'special') special += 1;
  }
  return { untracked: untracked.length, special };
}

async function isBelowLink(root: string, path: string, known: Map<string, boolean>): Promise<boolean> {
  const slash = path.lastIndexOf('/');
  if (slash === -1) return false;
  const parent = path.slice(0, slash);
  const cached = known.get(parent);
  if (cached !== undefined) return cached;
  const stats = await lstat(hostPath(root, parent)).catch(() => undefined);
  const result = stats?.isSymbolicLink() === true || (await isBelowLink(root, parent, known));
  known.set(parent, result);
  return result;
}

async function list(
  root: string,
  options: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const { stdout } = await git(root, ['ls-files', '-z', ...options], signal);
  if (stdout.byteLength >= MAX_LIST_BYTES) {
    throw new HearthError(
      'ENTRIES_TOO_MANY',
      `the list of files of ${root} has more than ${MAX_LIST_BYTES} bytes`,
      {
        hint: 'Seed a directory further down.',
        details: { path: root, maxBytes: MAX_LIST_BYTES },
      },
    );
  }
  return stdout
    .toString('latin1')
    .split('\0')
    .filter((path) => path !== '');
}

async function git(
  directory: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
  okExitCodes: readonly number[] = [0],
): Promise<{ exitCode: number; stdout: Buffer }> {
  // A repository may name programs for Git to run; listing files needs none of them.
  const options = ['-c', 'core.fsmonitor=false', '-C', directory];
  // A hook that runs us says which repository is meant; we mean another.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')));
  return await runTool('git', [...options, ...args], {
    env: { ...env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' },
    timeoutMs: GIT_TIMEOUT_MS,
    maxOutputBytes: MAX_LIST_BYTES,
    okExitCodes,
    installHint: 'Install Git, or seed everything in the directory with --seed-all.',
    ...(signal === undefined ? {} : { signal }),
  });
}
