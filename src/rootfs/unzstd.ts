/** zstd: Node's own decoder where there is one (22.15), else one in JavaScript. Source: RFC 8878. */
import { Readable, type Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { HearthError } from '../errors/index.js';
import { MAX_WINDOW_BYTES, ZstdDecoder, ZstdProblem } from '../zstd/index.js';
import type { ByteSink } from './byte-sink.js';
import { compressionInvalid } from './compression-invalid.js';
import type { GrowingFile } from './growing-file.js';

const OUTPUT_CHUNK_BYTES = 256 * 1024;
const MAX_WINDOW_LOG = Math.log2(MAX_WINDOW_BYTES);
const ZSTD_D_WINDOW_LOG_MAX = 100;

type CreateZstd = (options: { chunkSize: number; params: Record<number, number> }) => Transform;

/** @throws {HearthError} `COMPRESSION_INVALID`. */
export async function unzstd(file: GrowingFile, sink: ByteSink): Promise<void> {
  const create = (zlib as { createZstdDecompress?: CreateZstd }).createZstdDecompress;
  if (create === undefined) inJavaScript(file, sink);
  else await native(file, sink, create);
}

async function native(file: GrowingFile, sink: ByteSink, create: CreateZstd): Promise<void> {
  const params = { [ZSTD_D_WINDOW_LOG_MAX]: MAX_WINDOW_LOG };
  const decoder = create({ chunkSize: OUTPUT_CHUNK_BYTES, params });
  const input = Readable.from(copies(file), { objectMode: false });
  input.on('error', (error) => decoder.destroy(error));
  input.pipe(decoder);
  try {
    for await (const chunk of decoder) sink.write(chunk, file.readBytes);
  } catch (error) {
    if (HearthError.is(error) || !(error instanceof Error) || !('errno' in error)) throw error;
    throw compressionInvalid(error.message, file.readBytes, error);
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

function* copies(file: GrowingFile): Generator<Buffer, void> {
  for (const chunk of file.chunks()) yield Buffer.from(chunk);
}

function inJavaScript(file: GrowingFile, sink: ByteSink): void {
  const decoder = new ZstdDecoder((bytes) => sink.write(bytes, file.readBytes));
  try {
    for (const chunk of file.chunks()) decoder.push(chunk);
    decoder.finish();
  } catch (error) {
    throw error instanceof ZstdProblem ? compressionInvalid(error.message, file.readBytes, error) : error;
  }
}
