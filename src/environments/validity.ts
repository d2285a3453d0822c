/**
 * Whether an install can be booted: its manifest is its own, and every artifact is there, resolves, and is
 * what the manifest says.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errnoOf, HearthError } from '../errors/index.js';
import {
  type InstalledArtifact,
  type InstallManifest,
  KERNEL_FILE,
  ROOTFS_FILE,
  readInstallManifest,
} from './install-manifest.js';
import { installDirectoryName } from './names.js';

const HASH_CHUNK_BYTES = 1024 * 1024;

export type InstallCheck =
  /** Nothing is there. */
  | { readonly state: 'absent' }
  | { readonly state: 'valid'; readonly manifest: InstallManifest }
  /** `manifest` is undefined when that is what is wrong: it cannot be read or is another's. */
  | {
      readonly state: 'broken';
      readonly manifest: InstallManifest | undefined;
      readonly problems: readonly string[];
    };

export interface CheckOptions {
  /** Hash everything, also what looks untouched. Default false. */
  readonly full?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks the install in `directory`. Without `full` an artifact is hashed only when its size is right and its
 * modification time is not the recorded one, which costs nothing for an install that nobody touched.
 */
export async function checkInstall(directory: string, options: CheckOptions = {}): Promise<InstallCheck> {
  try {
    if (!(await stat(directory)).isDirectory()) return broken(undefined, ['it is not a directory']);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return { state: 'absent' };
    return broken(undefined, [`it cannot be read (${errno ?? 'error'})`]);
  }
  const reading = await readInstallManifest(directory);
  if (!reading.ok) return broken(undefined, [reading.reason]);
  const { manifest } = reading;
  const expectedName = installDirectoryName(manifest.name, manifest.version);
  if (basename(directory) !== expectedName) {
    // What it says is another's, so that none of it counts.
    const whose = `${manifest.name} ${manifest.version}`;
    return broken(undefined, [`its manifest is that of ${whose}, which belongs in ${expectedName}`]);
  }
  const problems: string[] = [];
  const files = new Set([ROOTFS_FILE, KERNEL_FILE, ...Object.keys(manifest.artifacts)]);
  for (const file of files) {
    const problem = await checkArtifact(directory, file, manifest.artifacts[file], options);
    if (problem !== undefined) problems.push(problem);
  }
  return problems.length === 0 ? { state: 'valid', manifest } : broken(manifest, problems);
}

function broken(manifest: InstallManifest | undefined, problems: readonly string[]): InstallCheck {
  return { state: 'broken', manifest, problems };
}

async function checkArtifact(
  directory: string,
  file: string,
  expected: InstalledArtifact | undefined,
  options: CheckOptions,
): Promise<string | undefined> {
  options.signal?.throwIfAborted();
  if (file.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    return `the manifest names a file outside the install: ${JSON.stringify(file)}`;
  }
  const path = join(directory, file);
  try {
    const found = await stat(path, { bigint: true });
    if (!found.isFile()) return `${file} is not a file`;
    if (found.size === 0n && (expected === undefined || expected.size_bytes > 0)) return `${file} is empty`;
    if (expected === undefined) return undefined;
    if (found.size !== BigInt(expected.size_bytes)) {
      return `${file} has ${found.size} bytes, expected ${expected.size_bytes}`;
    }
    if (options.full !== true && found.mtimeNs === BigInt(expected.mtime_ns)) return undefined;
    const actual = await digestLike(expected.digest, path, options.signal);
    return actual === expected.digest
      ? undefined
      : `${file} has digest ${actual}, expected ${expected.digest}`;
  } catch (error) {
    options.signal?.throwIfAborted();
    const errno = errnoOf(error);
    if (errno === 'ENOENT') return `${file} is missing`;
    if (HearthError.is(error)) return `${file}: ${error.message}`;
    return `${file} cannot be read (${errno ?? String(error)})`;
  }
}

/** The digest of a file, of the kind that `expected` is: of its bytes, or of an ext4 image's content. */
async function digestLike(expected: string, path: string, signal: AbortSignal | undefined): Promise<string> {
  if (expected.startsWith('sha256:')) return await hashFile(path, signal);
  // Loaded here, because an install that nobody touched is not hashed.
  const { digestRootfs } = await import('../rootfs/index.js');
  return await digestRootfs(path, signal === undefined ? {} : { signal });
}

/** The sha256 digest of a file's bytes. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: HASH_CHUNK_BYTES }), hash, {
    ...(signal === undefined ? {} : { signal }),
  });
  return `sha256:${hash.digest('hex')}`;
}
