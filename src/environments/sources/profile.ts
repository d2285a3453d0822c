/** The bundled profile: a directory that ships with hearth and holds a kernel and a finished rootfs. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HearthError } from '../../errors/index.js';
import { parseDigest } from '../../oci/index.js';
import { EMPTY_IMAGE_CONFIG, INITRD_FILE, KERNEL_FILE, ROOTFS_FILE } from '../install-manifest.js';
import { placeFile, placeSparseFile } from '../place-file.js';
import { EMPTY_PROVENANCE, type ObtainedArtifacts, type SourceRequest } from '../source.js';
import { hashFile } from '../validity.js';

/** What a manifest says about an install from a bundled profile. */
export const PROFILE_SOURCE_LABEL = 'bundled-runtime-source';

/**
 * Copies the artifacts of a profile. A directory that is missing, empty or lacks one of them is no source.
 *
 * @throws {HearthError} `ENVIRONMENT_SOURCE_UNAVAILABLE`; `DIGEST_MISMATCH` when `digest` is given and is not
 *   the rootfs's.
 */
export async function obtainProfile(
  profileDirectory: string,
  digest: string | null,
  request: SourceRequest,
): Promise<ObtainedArtifacts> {
  const missing: string[] = [];
  for (const file of [KERNEL_FILE, ROOTFS_FILE]) {
    if (!(await isUsableFile(join(profileDirectory, file)))) missing.push(file);
  }
  if (missing.length > 0) {
    throw new HearthError(
      'ENVIRONMENT_SOURCE_UNAVAILABLE',
      `no bundled profile for ${request.environment}: ${profileDirectory} has no ${missing.join(' and no ')}`,
      {
        hint: 'Use another source; hearth tries the next one by itself.',
        details: { environment: request.environment, profileDirectory, missing },
      },
    );
  }
  request.report('install', { message: 'copying the bundled profile' });
  for (const file of [KERNEL_FILE, INITRD_FILE]) {
    const from = join(profileDirectory, file);
    if (await isUsableFile(from)) await placeFile(from, join(request.staging, file));
  }
  const { signal } = request;
  await placeSparseFile(join(profileDirectory, ROOTFS_FILE), join(request.staging, ROOTFS_FILE), { signal });
  const actual = digest === null ? null : await hashFile(join(request.staging, ROOTFS_FILE), signal);
  if (actual !== digest) {
    throw new HearthError(
      'DIGEST_MISMATCH',
      `the rootfs of ${profileDirectory} has digest ${actual}, expected ${digest}`,
      {
        hint: 'Install hearth again: its bundled profile is damaged.',
        details: { expected: digest, actual },
      },
    );
  }
  return {
    source: PROFILE_SOURCE_LABEL,
    sourceDigest: digest === null ? null : parseDigest(digest),
    rootfsDigest: undefined,
    provenance: EMPTY_PROVENANCE,
    imageConfig: EMPTY_IMAGE_CONFIG,
    hasKernel: true,
  };
}

async function isUsableFile(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    return found.isFile() && found.size > 0;
  } catch {
    return false;
  }
}
