/** An image whose file system is on this machine already is not converted again: its file is cloned. */
import { constants } from 'node:fs';
import { copyFile, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatSize } from '../bytes/index.js';
import { errnoOf, fileError, HearthError } from '../errors/index.js';
import { syncDirectory } from '../fsx/index.js';
import type { Image } from '../oci/index.js';
import { runTool } from '../subprocess/index.js';
import { type BuildRootfsOptions, buildRootfs, type RootfsResult } from './build-rootfs.js';
import { ROOTFS_FORMAT_VERSION } from './identity.js';
import {
  type FileIdentity,
  identifyFile,
  isSameFile,
  type KnownRootfs,
  RootfsMemory,
} from './known-rootfs.js';
import { createStaging } from './staging.js';

export interface BuildOnceOptions extends Omit<BuildRootfsOptions, 'digest'> {
  /** Directory that remembers what was built; made when needed. */
  readonly memoryDirectory: string;
  /** Convert in any case. Default false. */
  readonly rebuild?: boolean;
  /** Where files of earlier builds may lie by now, beside where they were built. */
  readonly alsoAt?: () => Promise<readonly string[]>;
}

/** built: converted · kept: the output was this file system already · reflink, copy: of another file. */
export type RootfsOrigin = 'built' | 'kept' | 'reflink' | 'copy';

export interface RootfsOnceResult extends RootfsResult {
  readonly origin: RootfsOrigin;
  readonly digest: NonNullable<RootfsResult['digest']>;
}

const COPY_TIMEOUT_MS = 1_800_000;
/** stat(2): `st_blocks` counts units of 512 bytes on every file system. */
const STAT_BLOCK_BYTES = 512;
const NO_REFLINK: ReadonlySet<string> = new Set([
  'ENOTSUP',
  'EOPNOTSUPP',
  'EXDEV',
  'EINVAL',
  'ENOSYS',
  'ENOTTY',
  'EPERM',
]);

/**
 * As {@link buildRootfs}, and a build of the same manifest, size and limits by the same version of the writer is
 * used again: the output stays as it is when it is that file system and untouched, else it is cloned by reflink or
 * copied without its holes from a file that is. The digest is that of the build.
 *
 * @throws {HearthError} as {@link buildRootfs}.
 */
export async function buildRootfsOnce(image: Image, options: BuildOnceOptions): Promise<RootfsOnceResult> {
  const { memoryDirectory, rebuild = false, alsoAt, ...buildOptions } = options;
  const memory = new RootfsMemory(memoryDirectory);
  const key = keyOf(image, options);
  const known = rebuild ? undefined : await memory.find(key);
  if (known !== undefined) {
    const reused = await reuse(image, known, options);
    if (reused !== undefined) {
      if (reused.origin !== 'kept') await remember(memory, key, known, options.outputPath);
      return reused;
    }
  }
  const result = await buildRootfs(image, { ...buildOptions, digest: true });
  const { digest } = result;
  if (digest === undefined) throw new HearthError('INTERNAL', 'a build did not say its digest');
  await remember(memory, key, { ...result, digest }, options.outputPath);
  return { ...result, origin: 'built', digest };
}

/** Everything that the bytes of a result, or whether there is one, depend on. */
function keyOf({ manifestDigest }: Image, options: BuildOnceOptions): string {
  const { sizeBytes, maxContentBytes, maxEntries } = options;
  const parts = [ROOTFS_FORMAT_VERSION, manifestDigest, sizeBytes, maxContentBytes, maxEntries];
  return parts.map((part) => part ?? 'default').join('\n');
}

async function remember(
  memory: RootfsMemory,
  key: string,
  facts: Omit<KnownRootfs, 'files'>,
  path: string,
): Promise<void> {
  const file = await identifyFile(path);
  if (file === undefined || file.sizeBytes !== facts.sizeBytes) return;
  // The result is there; that the next build has to be made again is no reason to fail this one.
  await memory.remember(key, facts, file).catch(() => undefined);
}

async function reuse(
  image: Image,
  known: KnownRootfs,
  options: BuildOnceOptions,
): Promise<RootfsOnceResult | undefined> {
  const startedAt = performance.now();
  const { outputPath, signal } = options;
  const resultOf = (origin: RootfsOrigin, writtenBytes: number): RootfsOnceResult => ({
    outputPath,
    origin,
    digest: known.digest,
    sizeBytes: known.sizeBytes,
    contentBytes: known.contentBytes,
    writtenBytes,
    entryCount: known.entryCount,
    layerCount: image.layers.length,
    compressedBytes: image.layers.reduce((sum, { descriptor }) => sum + descriptor.sizeBytes, 0),
    uncompressedBytes: known.uncompressedBytes,
    durationsMs: {
      wait: 0,
      hash: 0,
      layers: 0,
      finish: 0,
      sync: 0,
      verify: 0,
      digest: 0,
      total: performance.now() - startedAt,
    },
  });
  const isKnown = (file: FileIdentity | undefined): file is FileIdentity =>
    file !== undefined && known.files.some((other) => isSameFile(file, other));

  if (isKnown(await identifyFile(outputPath))) return resultOf('kept', 0);
  const places = [...known.files.map(({ path }) => path), ...((await options.alsoAt?.()) ?? [])];
  for (const path of new Set(places)) {
    signal?.throwIfAborted();
    const found = await identifyFile(path).catch(() => undefined);
    if (!isKnown(found)) continue;
    const origin = await cloneTo(found, options);
    if (origin === undefined) continue;
    return resultOf(origin, origin === 'copy' ? await allocatedBytes(options.outputPath) : 0);
  }
  return undefined;
}

/** Undefined when the file changed meanwhile or cannot be cloned with what this machine has. */
async function cloneTo(
  source: FileIdentity,
  { outputPath, signal }: BuildOnceOptions,
): Promise<'reflink' | 'copy' | undefined> {
  const staging = await createStaging(outputPath);
  try {
    const origin = (await reflink(source.path, staging)) ? 'reflink' : 'copy';
    if (origin === 'copy') await sparseCopy(source, staging, signal);
    const after = await identifyFile(source.path);
    if (after === undefined || !isSameFile(after, source)) return undefined;
    const file = await open(staging, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(staging, outputPath);
    await syncDirectory(dirname(outputPath));
    return origin;
  } catch (error) {
    signal?.throwIfAborted();
    if (HearthError.is(error) && error.code !== 'DISK_FULL') return undefined;
    throw fileError(error, outputPath);
  } finally {
    await rm(staging, { force: true });
  }
}

async function reflink(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    if (NO_REFLINK.has(errnoOf(error) ?? '')) return false;
    throw fileError(error, to);
  }
}

/** GNU cp asks the kernel for holes and copies inside it, neither of which Node can. */
async function sparseCopy(source: FileIdentity, to: string, signal: AbortSignal | undefined): Promise<void> {
  const directory = dirname(to);
  const { bavail, bsize } = await statfs(directory);
  const neededBytes = await allocatedBytes(source.path);
  const freeBytes = bavail * bsize;
  if (freeBytes < neededBytes) {
    throw new HearthError(
      'DISK_FULL',
      `no space left in ${directory}: the file system needs ${formatSize(neededBytes)}, ${formatSize(freeBytes)} are free`,
      {
        hint: 'Free some space (`hearth cache prune` removes what can be fetched again) and run the same command again.',
        details: { path: directory, neededBytes, freeBytes },
      },
    );
  }
  await runTool('cp', ['--sparse=auto', '--reflink=never', '--', source.path, to], {
    timeoutMs: COPY_TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
}

async function allocatedBytes(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    return (await file.stat()).blocks * STAT_BLOCK_BYTES;
  } finally {
    await file.close();
  }
}
