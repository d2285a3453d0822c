/** Fixes what a workspace begins with: the files of a directory or archive of this host, or nothing. */
import { lstat, realpath } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { fileError, HearthError } from '../../errors/index.js';
import { BaselineWriter, type SeedLimits } from './baseline-writer.js';
import { headCommit, isInRepository, readTrackedFiles } from './git-files.js';
import { readArchive } from './read-archive.js';
import { type LeftOut, readWholeDirectory } from './read-directory.js';
import type { WorkspaceRecord } from './workspace-record.js';

export interface WorkspaceSpec {
  /** Absolute path of a directory or tar archive of this host. Default: the workspace begins empty. */
  readonly seedPath?: string | undefined;
  /** Of a directory in a Git repository, also what Git does not track. */
  readonly all?: boolean | undefined;
}

export interface SeedOrigin {
  readonly kind: 'empty' | 'git' | 'directory' | 'archive';
  readonly path: string | null;
  /** The commit that was checked out. */
  readonly commit: string | null;
}

const NOTHING_LEFT_OUT: LeftOut = { untracked: 0, special: 0 };

/**
 * Says what a seed is before anything is made.
 *
 * @throws {HearthError} `USAGE_INVALID`, `FILE_NOT_FOUND`, `SEED_INVALID`.
 */
export async function seedOrigin(
  { seedPath, all = false }: WorkspaceSpec,
  signal?: AbortSignal,
): Promise<SeedOrigin> {
  if (seedPath === undefined) return { kind: 'empty', path: null, commit: null };
  if (!isAbsolute(seedPath)) {
    throw new HearthError('USAGE_INVALID', `the seed ${JSON.stringify(seedPath)} is not an absolute path`, {
      hint: 'Give the absolute path of a directory or tar archive.',
      details: { path: seedPath },
    });
  }
  const path = await realpath(seedPath).catch((error: unknown) => {
    throw fileError(error, seedPath);
  });
  const stats = await lstat(path);
  if (stats.isFile()) return { kind: 'archive', path, commit: null };
  if (!stats.isDirectory()) {
    throw new HearthError('SEED_INVALID', `the seed ${path} is neither a directory nor an archive`, {
      hint: 'Give a directory, or a tar archive, plain or packed with gzip or zstd.',
      details: { path },
    });
  }
  if (all || !(await isInRepository(path))) return { kind: 'directory', path, commit: null };
  return { kind: 'git', path, commit: await headCommit(path, signal) };
}

/**
 * Writes the baseline into the directory of a sandbox that nobody sees yet.
 *
 * @throws {HearthError} those of `seedOrigin`, of the readers and of `BaselineWriter`.
 */
export async function createBaseline(
  sandboxDirectory: string,
  spec: WorkspaceSpec,
  { signal, limits }: { readonly signal?: AbortSignal | undefined; readonly limits?: SeedLimits } = {},
): Promise<WorkspaceRecord> {
  const origin = await seedOrigin(spec, signal);
  using writer = await BaselineWriter.create(sandboxDirectory, limits);
  const leftOut = await readSeed(origin, writer, signal);
  const figures = await writer.finish();
  return { seedPending: true, origin, leftOut, ...figures };
}

async function readSeed(
  { kind, path }: SeedOrigin,
  writer: BaselineWriter,
  signal: AbortSignal | undefined,
): Promise<LeftOut> {
  if (path === null) return NOTHING_LEFT_OUT;
  if (kind === 'git') return await readTrackedFiles(path, writer, signal);
  if (kind === 'directory') return { untracked: 0, special: await readWholeDirectory(path, writer, signal) };
  await readArchive(path, writer, signal);
  return NOTHING_LEFT_OUT;
}
