/**
 * Expands what kernel builders compress: the kernel in a bzImage and single modules.
 * In this process where Node or a library can, otherwise by the usual program of the host.
 */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { HearthError } from '../errors/index.js';
import { runTool } from '../subprocess/index.js';
import { expandLz4Legacy } from './lz4-legacy.js';

export type KernelCompression = 'gzip' | 'xz' | 'zstd' | 'lz4' | 'bzip2' | 'lzma' | 'lzo';

const MAGICS: ReadonlyArray<readonly [KernelCompression, readonly number[]]> = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
];

/** Programs that expand from stdin to stdout, and the Debian package each comes from. */
const TOOLS = {
  xz: ['xz', ['--decompress', '--stdout'], 'xz-utils'],
  lzma: ['xz', ['--format=lzma', '--decompress', '--stdout'], 'xz-utils'],
  bzip2: ['bzip2', ['--decompress', '--stdout'], 'bzip2'],
  lzo: ['lzop', ['--decompress', '--stdout'], 'lzop'],
} as const;

export interface ExpandOptions {
  /** Refuse to give more than this many bytes. */
  readonly maxBytes: number;
  /** Exact size where it is known; LZ4 legacy frames cannot be read without. */
  readonly expandedBytes?: number;
  readonly signal?: AbortSignal;
}

/** The compression that the first bytes show, or undefined. */
export function detectCompression(bytes: Uint8Array): KernelCompression | undefined {
  return MAGICS.find(([, magic]) => magic.every((byte, index) => bytes[index] === byte))?.[0];
}

/**
 * Expands `bytes` of the given format.
 *
 * @throws {HearthError} `COMPRESSION_INVALID` for damaged input, `CONTENT_TOO_LARGE` past `maxBytes`,
 *   `TOOL_NOT_FOUND` when a format needs a program that is not installed.
 */
export async function expand(
  format: KernelCompression,
  bytes: Uint8Array,
  options: ExpandOptions,
): Promise<Uint8Array> {
  const { maxBytes, expandedBytes } = options;
  if (expandedBytes !== undefined && expandedBytes > maxBytes) throw tooLarge(format, maxBytes);
  switch (format) {
    case 'lz4':
      if (expandedBytes === undefined) throw invalid(format, 'its size is not known');
      return expandLz4Legacy(bytes, expandedBytes);
    case 'gzip':
      return await expandGzip(bytes, maxBytes);
    case 'zstd':
      return await expandZstd(bytes, maxBytes);
    default:
      return await expandByTool(format, bytes, options);
  }
}

async function expandGzip(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge('gzip', maxBytes);
    throw invalid('gzip', error instanceof Error ? error.message : String(error));
  }
}

async function expandZstd(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const { Decompress } = await import('fzstd');
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    const stream = new Decompress((chunk) => {
      total += chunk.byteLength;
      if (total > maxBytes) throw tooLarge('zstd', maxBytes);
      chunks.push(chunk);
    });
    stream.push(bytes, true);
  } catch (error) {
    if (HearthError.is(error)) throw error;
    throw invalid('zstd', error instanceof Error ? error.message : String(error));
  }
  return Buffer.concat(chunks);
}

async function expandByTool(
  format: keyof typeof TOOLS,
  bytes: Uint8Array,
  { maxBytes, signal }: ExpandOptions,
): Promise<Uint8Array> {
  const [tool, args, debianPackage] = TOOLS[format];
  try {
    const { stdout } = await runTool(tool, args, {
      input: bytes,
      maxOutputBytes: maxBytes + 1,
      installHint: `Install it with \`apt-get install ${debianPackage}\`.`,
      ...(signal === undefined ? {} : { signal }),
    });
    if (stdout.byteLength > maxBytes) throw tooLarge(format, maxBytes);
    return stdout;
  } catch (error) {
    if (!HearthError.is(error) || error.code !== 'TOOL_FAILED') throw error;
    throw invalid(format, error.message);
  }
}

function invalid(format: KernelCompression, why: string): HearthError {
  return new HearthError('COMPRESSION_INVALID', `not valid ${format} data: ${why}`, {
    details: { format, why },
  });
}

function tooLarge(format: KernelCompression, maxBytes: number): HearthError {
  return new HearthError('CONTENT_TOO_LARGE', `${format} data expands to more than ${maxBytes} bytes`, {
    details: { format, maxBytes },
  });
}
