/**
 * Layer blobs, decompressed. What a blob is packed with is read from its first bytes, as container engines do,
 * because media types in the wild are wrong now and then; the diffID decides whether the result is right.
 */
import type { LayerCompression } from '../oci/index.js';
import type { ByteSink } from './byte-sink.js';
import type { GrowingFile } from './growing-file.js';
import { gunzip } from './gunzip.js';
import { unzstd } from './unzstd.js';

const USTAR_MAGIC_AT = 257;

/**
 * @param expected What the media type says; it counts for a blob that looks like none of them.
 * @throws {HearthError} `COMPRESSION_INVALID` with `details.offsetBytes`, the compressed bytes read before.
 */
export async function decompress(
  file: GrowingFile,
  expected: LayerCompression,
  sink: ByteSink,
): Promise<void> {
  switch (detectCompression(file.read(0), expected)) {
    case 'gzip':
      gunzip(file, sink);
      return;
    case 'zstd':
      await unzstd(file, sink);
      return;
    default:
      for (const chunk of file.chunks()) sink.write(chunk, file.readBytes);
  }
}

/** @param first The beginning of the blob, as much as there is. */
export function detectCompression(first: Buffer, expected: LayerCompression): LayerCompression {
  if (first.byteLength >= 2 && first.readUInt16BE(0) === 0x1f8b) return 'gzip';
  if (first.byteLength >= 4) {
    const magic = first.readUInt32LE(0);
    // A zstd frame, or a skippable one.
    if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) return 'zstd';
  }
  if (first.toString('latin1', USTAR_MAGIC_AT, USTAR_MAGIC_AT + 5) === 'ustar') return 'none';
  return expected;
}
