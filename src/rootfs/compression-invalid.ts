import { HearthError } from '../errors/index.js';

/** @param offsetBytes Compressed bytes that were read before. */
export function compressionInvalid(problem: string, offsetBytes: number, cause?: unknown): HearthError {
  return new HearthError('COMPRESSION_INVALID', `the layer cannot be decompressed: ${problem}`, {
    hint: 'Pull the image again; if it repeats, the image is damaged where it is kept.',
    details: { problem, offsetBytes },
    ...(cause === undefined ? {} : { cause }),
  });
}
