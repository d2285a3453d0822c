/**
 * Layer blobs, decompressed. What a blob is packed with is read from its first bytes, as container engines do,
 * because media types in the wild are wrong now and then; the diffID decides whether the result is right.
 *
 * Sources: RFC 1952 (gzip; several members are one stream), RFC 8878 (zstd; several frames are one stream).
 * After the last gzip member only zeros may follow.
 */
import { Readable } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
import { HearthError } from '../errors/index.js';
import type { LayerCompression } from '../oci/index.js';
import type { GrowingFile } from './growing-file.js';
import { unzstd } from './unzstd.js';

const OUTPUT_CHUNK_BYTES = 256 * 1024;
const USTAR_MAGIC_AT = 257;

/**
 * @param expected What the media type says; it counts for a blob that looks like none of them.
 * @returns Views of the decompressed bytes, each valid until the next one is asked for.
 * @throws {HearthError} `COMPRESSION_INVALID` with `details.offsetBytes`, the compressed bytes that were read.
 */
export async function* decompressed(
  file: GrowingFile,
  expected: LayerCompression,
): AsyncGenerator<Uint8Array, void> {
  switch (detect(await file.read(0), expected)) {
    case 'gzip':
      yield* gunzipped(file);
      return;
    case 'zstd':
      yield* unzstd(file.chunks());
      return;
    default:
      yield* file.chunks();
  }
}

/** Exported for its own test. */
export function detect(first: Buffer, expected: LayerCompression): LayerCompression {
  if (first.byteLength >= 2 && first.readUInt16BE(0) === 0x1f8b) return 'gzip';
  // A zstd frame, or a skippable one.
  if (first.byteLength >= 4) {
    const magic = first.readUInt32LE(0);
    if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) return 'zstd';
  }
  if (first.toString('latin1', USTAR_MAGIC_AT, USTAR_MAGIC_AT + 5) === 'ustar') return 'none';
  return expected;
}

export function compressionInvalid(problem: string, offsetBytes: number, cause?: unknown): HearthError {
  return new HearthError('COMPRESSION_INVALID', `the layer cannot be decompressed: ${problem}`, {
    hint: 'Pull the image again; if it repeats, the image is damaged where it is kept.',
    details: { problem, offsetBytes },
    ...(cause === undefined ? {} : { cause }),
  });
}

async function* gunzipped(file: GrowingFile): AsyncGenerator<Uint8Array, void> {
  const gunzip: Gunzip = createGunzip({ chunkSize: OUTPUT_CHUNK_BYTES });
  const source = Readable.from(file.chunks(), { objectMode: false });
  source.on('error', (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  try {
    yield* gunzip;
  } catch (error) {
    if (HearthError.is(error) || !isZlibError(error)) throw error;
    throw compressionInvalid(error.message, gunzip.bytesWritten, error);
  } finally {
    source.destroy();
    gunzip.destroy();
  }
  for (let offset = gunzip.bytesWritten; ; ) {
    const rest = await file.read(offset);
    if (rest.byteLength === 0) return;
    if (rest.some((byte) => byte !== 0)) throw compressionInvalid('data after the last gzip member', offset);
    offset += rest.byteLength;
  }
}

function isZlibError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
}
