import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decompressSniffed, sniffCompression } from './decompress.js';

const PLAIN = Buffer.concat([
  Buffer.from('tar '),
  createHash('sha512').update('x').digest(),
  Buffer.alloc(300_000, 7),
]);

function zstd(bytes: Buffer): Buffer {
  return execFileSync('zstd', ['-q', '-c'], { input: bytes, maxBuffer: 64 * 1024 ** 2 });
}

async function* inChunks(bytes: Buffer, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function all(bytes: Buffer, chunkBytes = 4096): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of decompressSniffed(inChunks(bytes, chunkBytes))) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

describe('decompressSniffed', () => {
  const forms: [string, (bytes: Buffer) => Buffer, 'none' | 'gzip' | 'zstd'][] = [
    ['nothing', (bytes) => bytes, 'none'],
    ['gzip', (bytes) => gzipSync(bytes), 'gzip'],
    ['zstd', zstd, 'zstd'],
  ];
  it.each(forms)('undoes %s in chunks of any size', async (_name, compress, name) => {
    const bytes = compress(PLAIN);
    expect(sniffCompression(bytes)).toBe(name);
    for (const chunkBytes of [1, 3, 4096, bytes.byteLength]) {
      if (chunkBytes === 1 && bytes.byteLength > 50_000) continue;
      expect((await all(bytes, chunkBytes)).equals(PLAIN)).toBe(true);
    }
  });

  it.each(forms.slice(1))('refuses %s that is cut', async (_name, compress) => {
    const bytes = compress(PLAIN);
    for (const length of [5, 20, bytes.byteLength - 1]) {
      await expect(all(bytes.subarray(0, length))).rejects.toMatchObject({ code: 'COMPRESSION_INVALID' });
    }
  });

  it('refuses gzip that is damaged; in zstd only the digest of the archive finds all damage', async () => {
    const damaged = gzipSync(PLAIN);
    damaged.fill(0xff, 20, 60);
    await expect(all(damaged)).rejects.toMatchObject({ code: 'COMPRESSION_INVALID' });
  });

  it.each(forms.slice(1))('holds little of %s that expands to a gigabyte', async (_name, compress) => {
    const quarter = compress(Buffer.alloc(256 * 1024 ** 2));
    const bomb = Buffer.concat([quarter, quarter, quarter, quarter]);
    const before = process.memoryUsage().arrayBuffers;
    let seenBytes = 0;
    for await (const chunk of decompressSniffed(inChunks(bomb, bomb.byteLength))) {
      seenBytes += chunk.byteLength;
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(512 * 1024 ** 2);
      if (seenBytes > 64 * 1024 ** 2) break;
    }
  });

  it('passes on an error of the source, and nothing at all for an empty one', async () => {
    const broken = new Error('source');
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield gzipSync(PLAIN).subarray(0, 100);
      throw broken;
    }
    await expect(
      (async () => {
        for await (const _ of decompressSniffed(failing()));
      })(),
    ).rejects.toBe(broken);
    expect((await all(Buffer.alloc(0))).byteLength).toBe(0);
  });

  it('lets a reader stop early', async () => {
    for await (const chunk of decompressSniffed(inChunks(gzipSync(PLAIN), 64))) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      break;
    }
  });
});
