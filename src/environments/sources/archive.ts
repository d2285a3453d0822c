/** An archive of a finished environment: tar.gz or tar.zst with `rootfs.ext4` and `vmlinux` at its root. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileError, HearthError } from '../../errors/index.js';
import { parseDigest } from '../../oci/index.js';
import type { CatalogSource } from '../catalog-schema.js';
import { EMPTY_IMAGE_CONFIG, KERNEL_FILE, ROOTFS_FILE } from '../install-manifest.js';
import { EMPTY_PROVENANCE, type ObtainedArtifacts, type SourceRequest } from '../source.js';
import { hashFile } from '../validity.js';
import { BootArchiveExtractor } from './boot-archive.js';
import { decompress, sniffCompression } from './decompress.js';
import { download } from './download.js';

export type ArchiveSource = Extract<CatalogSource, { type: 'archive' }>;

const READ_CHUNK_BYTES = 256 * 1024;
const FALLBACK_HEADER_TIMEOUT_MS = 5_000;

/**
 * Fetches, checks and unpacks the archive. Its digest is compared before anything of it is parsed.
 *
 * @param fetch Replaces the network in tests.
 * @throws {HearthError} `DIGEST_MISMATCH`, `ARCHIVE_INVALID`, `COMPRESSION_INVALID`, `TAR_INVALID`,
 *   `FILE_NOT_FOUND`, `ENVIRONMENT_SOURCE_UNAVAILABLE`, `OFFLINE`, `CONTENT_TOO_LARGE`, `DISK_FULL`.
 */
export async function obtainArchive(
  source: ArchiveSource,
  request: SourceRequest,
  fetch?: typeof globalThis.fetch,
): Promise<ObtainedArtifacts> {
  const path = await localPath(source, request, fetch);
  const actual = await hashFile(path, request.signal).catch((error: unknown) => {
    request.signal?.throwIfAborted();
    throw fileError(error, path);
  });
  if (source.digest !== null && source.digest !== actual) {
    throw new HearthError(
      'DIGEST_MISMATCH',
      `${source.url}: digest mismatch: expected ${source.digest}, got ${actual}`,
      {
        hint: 'Fetch it again; if it repeats, the address serves altered content.',
        details: { url: source.url, expected: source.digest, actual },
      },
    );
  }
  request.report('install', { message: 'unpacking the archive' });
  const files = await unpack(path, request);
  for (const required of [ROOTFS_FILE, KERNEL_FILE]) {
    if (files.has(required)) continue;
    throw new HearthError('ARCHIVE_INVALID', `${source.url} has no ${required}`, {
      hint: 'Make an archive with rootfs.ext4 and vmlinux at its root.',
      details: { url: source.url, missing: required },
    });
  }
  return {
    source: source.url,
    sourceDigest: parseDigest(actual),
    rootfsDigest: undefined,
    provenance: EMPTY_PROVENANCE,
    imageConfig: EMPTY_IMAGE_CONFIG,
    hasKernel: true,
  };
}

async function localPath(
  source: ArchiveSource,
  request: SourceRequest,
  fetch: typeof globalThis.fetch | undefined,
): Promise<string> {
  if (source.url.startsWith('file:')) return fileURLToPath(source.url);
  if (request.offline) {
    throw new HearthError('OFFLINE', `${source.url} has to be fetched`, {
      hint: 'Run the same command without --offline.',
      details: { url: source.url, digest: source.digest },
    });
  }
  const path = join(request.scratch, 'archive');
  request.report('download');
  await download(source.url, path, {
    signal: request.signal,
    onProgress: (doneBytes, totalBytes) =>
      request.report('download', { doneBytes, ...(totalBytes === undefined ? {} : { totalBytes }) }),
    ...(fetch === undefined ? {} : { fetch }),
    ...(request.hasFallback ? { headerTimeoutMs: FALLBACK_HEADER_TIMEOUT_MS } : {}),
  });
  return path;
}

async function unpack(path: string, request: SourceRequest): Promise<ReadonlySet<string>> {
  const compression = sniffCompression(await readHead(path));
  if (compression === 'none') {
    throw new HearthError('COMPRESSION_INVALID', `${path} is neither gzip nor zstd data`, {
      hint: 'Make a tar.gz or tar.zst.',
      details: { path },
    });
  }
  const extractor = new BootArchiveExtractor(request.staging);
  try {
    const bytes: AsyncIterable<Uint8Array> = createReadStream(path, { highWaterMark: READ_CHUNK_BYTES });
    for await (const chunk of decompress(bytes, compression)) {
      request.signal?.throwIfAborted();
      await extractor.push(chunk);
    }
    await extractor.finishArchive();
  } finally {
    await extractor.close();
  }
  return extractor.files;
}

async function readHead(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(4);
    await file.read(head, 0, head.byteLength, 0);
    return head;
  } finally {
    await file.close();
  }
}
