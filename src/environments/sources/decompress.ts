/** Decompression of archives as a stream: gzip, zstd, or none, told apart by their first bytes. */
import { createGunzip } from 'node:zlib';
import { HearthError } from '../../errors/index.js';
import { ZstdDecoder, ZstdProblem } from '../../zstd/index.js';

const MAGIC_BYTES = 4;
/** Decoded at once: four bytes can stand for 128 KiB, so that this holds at most 32 MiB of output. */
const ZSTD_STEP_BYTES = 1024;

export type ArchiveCompression = 'none' | 'gzip' | 'zstd';

/** What the first four bytes of a file say. */
export function sniffCompression(head: Uint8Array): ArchiveCompression {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd';
  return 'none';
}

/**
 * The uncompressed bytes of `source` in order; no more than a few chunks are held.
 *
 * @throws {HearthError} `COMPRESSION_INVALID` for a damaged or cut stream.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  compression: ArchiveCompression,
): AsyncGenerator<Uint8Array> {
  switch (compression) {
    case 'none':
      yield* source;
      return;
    case 'gzip':
      yield* gunzip(source);
      return;
    case 'zstd':
      yield* unzstd(source);
  }
}

/** As {@link decompress}; the first bytes say with what. */
export async function* decompressSniffed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  try {
    while (heldBytes < MAGIC_BYTES) {
      const next = await chunks.next();
      if (next.done === true) break;
      held.push(next.value);
      heldBytes += next.value.byteLength;
    }
    const rest = { [Symbol.asyncIterator]: () => chunks };
    const all = async function* (): AsyncGenerator<Uint8Array> {
      yield* held;
      yield* rest;
    };
    yield* decompress(all(), sniffCompression(Buffer.concat(held)));
  } finally {
    await chunks.return?.();
  }
}

async function* gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: 256 * 1024 });
  let sourceError: unknown;
  void (async (): Promise<void> => {
    try {
      for await (const chunk of source) {
        if (stream.destroyed) return;
        if (!stream.write(chunk)) await drained(stream);
      }
      stream.end();
    } catch (error) {
      sourceError = error;
      stream.destroy();
    }
  })();
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    throw sourceError ?? compressionInvalid('gzip', error);
  } finally {
    // A reader that has seen enough does not wait for the source; the feed ends with its next chunk.
    stream.destroy();
  }
  if (sourceError !== undefined) throw sourceError;
}

function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once('drain', resolve);
    stream.once('close', resolve);
  });
}

async function* unzstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  const decoder = new ZstdDecoder((bytes) => ready.push(bytes.slice()));
  const take = (step: () => void): Uint8Array[] => {
    ready = [];
    try {
      step();
    } catch (error) {
      throw error instanceof ZstdProblem ? compressionInvalid('zstd', error) : error;
    }
    return ready;
  };
  for await (const chunk of source) {
    for (let at = 0; at < chunk.byteLength; at += ZSTD_STEP_BYTES) {
      yield* take(() => decoder.push(chunk.subarray(at, at + ZSTD_STEP_BYTES)));
    }
  }
  yield* take(() => decoder.finish());
}

function compressionInvalid(format: string, cause: unknown): HearthError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new HearthError('COMPRESSION_INVALID', `damaged ${format} data: ${problem}`, {
    hint: 'Fetch the file again; it is cut or damaged.',
    details: { format, problem },
    cause,
  });
}
