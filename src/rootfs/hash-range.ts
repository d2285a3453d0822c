import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type Digest, type DigestAlgorithm, digestOfHash } from '../oci/index.js';
import type { BlobPlace } from './growing-file.js';

const READ_BYTES = 1024 * 1024;

/** The digest of a part of a file, or of as much of it as there is. */
export async function hashRange(
  { path, offsetBytes, sizeBytes }: BlobPlace,
  algorithm: DigestAlgorithm,
  signal?: AbortSignal,
): Promise<Digest> {
  const hash = createHash(algorithm);
  if (sizeBytes > 0) {
    const range = { start: offsetBytes, end: offsetBytes + sizeBytes - 1, highWaterMark: READ_BYTES };
    for await (const chunk of createReadStream(path, {
      ...range,
      ...(signal === undefined ? {} : { signal }),
    })) {
      hash.update(chunk);
    }
  }
  return digestOfHash(hash, algorithm);
}
