/** zstd: Node's own decoder where there is one (22.15), else one in JavaScript. Source: RFC 8878. */
import { Readable, type Transform } from 'node:stream';
import * as zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import { HearthError } from '../errors/index.js';

const OUTPUT_CHUNK_BYTES = 256 * 1024;
/** Zstandard's own default limit: larger windows need `--long` at the other end. */
const MAX_WINDOW_LOG = 27;
const ZSTD_D_WINDOW_LOG_MAX = 100;

type CreateZstd = (options: { chunkSize: number; params: Record<number, number> }) => Transform;

/** @throws {HearthError} `COMPRESSION_INVALID`. */
export async function* unzstd(source: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array, void> {
  const create = (zlib as { createZstdDecompress?: CreateZstd }).createZstdDecompress;
  yield* create === undefined ? inJavaScript(source) : native(source, create);
}

async function* native(source: AsyncIterable<Buffer>, create: CreateZstd): AsyncGenerator<Uint8Array, void> {
  const params = { [ZSTD_D_WINDOW_LOG_MAX]: MAX_WINDOW_LOG };
  const decoder = create({ chunkSize: OUTPUT_CHUNK_BYTES, params });
  const input = Readable.from(source, { objectMode: false });
  input.on('error', (error) => decoder.destroy(error));
  input.pipe(decoder);
  try {
    yield* decoder;
  } catch (error) {
    if (HearthError.is(error) || !(error instanceof Error) || !('errno' in error)) throw error;
    throw invalid(error);
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

async function* inJavaScript(source: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array, void> {
  let out: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => {
    out.push(chunk);
  });
  for await (const chunk of source) {
    pushInto(decoder, chunk, false);
    yield* out;
    out = [];
  }
  pushInto(decoder, new Uint8Array(0), true);
  yield* out;
}

function pushInto(decoder: Decompress, chunk: Uint8Array, isLast: boolean): void {
  try {
    decoder.push(chunk, isLast);
  } catch (error) {
    throw invalid(error);
  }
}

function invalid(cause: unknown): HearthError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new HearthError('COMPRESSION_INVALID', `the layer cannot be decompressed: ${problem}`, {
    hint: 'Pull the image again; if it repeats, the image is damaged where it is kept.',
    details: { problem },
    cause,
  });
}
