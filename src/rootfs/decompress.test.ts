import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LayerCompression } from '../oci/index.js';
import { decompress, detectCompression } from './decompress.js';
import { announceGrowth, createGrowth, GrowingFile } from './growing-file.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hearth-decompress-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** @param roomBytes What the sink offers at a time. */
async function unpack(blob: Buffer, expected: LayerCompression, roomBytes = 1000): Promise<Buffer> {
  const path = join(directory, 'blob');
  // The blob lies behind other bytes, as in an archive.
  writeFileSync(path, Buffer.concat([Buffer.from('before'), blob, Buffer.from('after')]));
  const growth = createGrowth(2);
  announceGrowth(growth, 1, blob.byteLength);
  const file = new GrowingFile({ path, offsetBytes: 6, sizeBytes: blob.byteLength }, growth, 1);
  const chunks: Buffer[] = [];
  const room = Buffer.alloc(roomBytes);
  try {
    await decompress(file, expected, {
      room: () => room,
      commit: (byteCount) => chunks.push(Buffer.from(room.subarray(0, byteCount))),
      write: (bytes) => chunks.push(Buffer.from(bytes)),
    });
  } finally {
    file.close();
  }
  return Buffer.concat(chunks);
}

const text = Buffer.from('some text that repeats, '.repeat(20_000));
const random = Buffer.from(Array.from({ length: 600_000 }, (_, i) => Math.imul(i, 2_654_435_761) >>> 13));

describe('decompress', () => {
  it.each([
    ['one member', gzipSync(text), text],
    ['what hardly shrinks', gzipSync(random), random],
    ['an empty member', gzipSync(Buffer.alloc(0)), Buffer.alloc(0)],
    [
      'several members',
      Buffer.concat([gzipSync(text), gzipSync(Buffer.alloc(0)), gzipSync(random)]),
      Buffer.concat([text, random]),
    ],
    [
      'many small members',
      Buffer.concat(Array.from({ length: 2000 }, () => gzipSync('x'))),
      Buffer.alloc(2000, 'x'),
    ],
    ['padding of zeros', Buffer.concat([gzipSync(text), Buffer.alloc(300_000)]), text],
    ['stored blocks', gzipSync(text, { level: 0 }), text],
  ])('reads gzip: %s', async (_what, blob, expected) => {
    for (const roomBytes of [1000, 1_000_000]) {
      expect((await unpack(blob, 'gzip', roomBytes)).equals(expected)).toBe(true);
    }
  });

  it('reads members that begin anywhere in what is read at a time', async () => {
    const filler = gzipSync(Buffer.alloc(300_000, 'f'), { level: 0 });
    for (let cut = 256 * 1024 - 12; cut < 256 * 1024 + 2; cut += 1) {
      const first = gzipSync(Buffer.alloc(cut - 18 - 5 * Math.ceil(cut / 65_535)), { level: 0 });
      const blob = Buffer.concat([first, filler]);
      const unpacked = await unpack(blob, 'gzip', 100_000);
      expect(unpacked.subarray(unpacked.byteLength - 300_000).equals(Buffer.alloc(300_000, 'f'))).toBe(true);
    }
  });

  it('reads zstd: one frame, several, skippable ones', async () => {
    const zstd = (bytes: Buffer, ...options: string[]): Buffer =>
      execFileSync('zstd', ['-q', '-c', ...options], { input: bytes, maxBuffer: 1e9 });
    const skippable = Buffer.from('502a4d1804000000deadbeef', 'hex');
    expect((await unpack(zstd(text), 'zstd')).equals(text)).toBe(true);
    expect((await unpack(zstd(random, '-19', '--no-check'), 'zstd')).equals(random)).toBe(true);
    const frames = Buffer.concat([skippable, zstd(text), skippable, zstd(random)]);
    expect((await unpack(frames, 'gzip')).equals(Buffer.concat([text, random]))).toBe(true);
  });

  it('passes through what is not packed, whatever the media type says', async () => {
    const tar = Buffer.alloc(1024);
    tar.write('ustar', 257);
    expect(await unpack(tar, 'gzip')).toEqual(tar);
    expect(await unpack(text, 'none')).toEqual(text);
    expect(await unpack(gzipSync(text), 'none')).toEqual(text);
  });

  it('refuses a gzip stream cut anywhere', async () => {
    const blob = gzipSync(random.subarray(0, 300));
    for (let length = 0; length < blob.byteLength; length += 1) {
      await expect(unpack(blob.subarray(0, length), 'gzip')).rejects.toMatchObject({
        code: 'COMPRESSION_INVALID',
      });
    }
  });

  it('refuses every changed byte of a gzip stream, or leaves it without effect', async () => {
    const blob = gzipSync(text.subarray(0, 200));
    for (let at = 0; at < blob.byteLength; at += 1) {
      const changed = Buffer.from(blob);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      const unpacked = await unpack(changed, 'gzip').catch((error: { code?: string }) => error.code);
      // Time, extra flags and operating system of the header say nothing about the content.
      if (at >= 4 && at < 10) expect(unpacked).toEqual(text.subarray(0, 200));
      else expect(unpacked).toBe('COMPRESSION_INVALID');
    }
  });

  it.each([
    ['garbage', Buffer.from('garbage')],
    ['garbage after zeros', Buffer.concat([Buffer.alloc(500), Buffer.from([1])])],
    ['half a member', gzipSync(text).subarray(0, 50)],
  ])('refuses %s behind a gzip stream', async (_what, tail) => {
    const blob = Buffer.concat([gzipSync(text), tail]);
    await expect(unpack(blob, 'gzip')).rejects.toMatchObject({
      code: 'COMPRESSION_INVALID',
      details: { offsetBytes: expect.any(Number) },
    });
  });

  it('refuses zstd that is cut, damaged or needs a dictionary', async () => {
    const blob = execFileSync('zstd', ['-q', '-c'], { input: text });
    await expect(unpack(blob.subarray(0, -5), 'zstd')).rejects.toMatchObject({ code: 'COMPRESSION_INVALID' });
    await expect(unpack(Buffer.from('28b52ffdffff', 'hex'), 'zstd')).rejects.toMatchObject({
      code: 'COMPRESSION_INVALID',
    });
  });

  it('notices that the file is shorter than its blob should be', async () => {
    const path = join(directory, 'short');
    writeFileSync(path, gzipSync(text).subarray(0, 100));
    const growth = createGrowth(1);
    announceGrowth(growth, 0, 5000);
    const file = new GrowingFile({ path, offsetBytes: 0, sizeBytes: 5000 }, growth, 0);
    expect(file.read(0).byteLength).toBe(100);
    expect(() => file.read(100)).toThrow(expect.objectContaining({ code: 'SIZE_MISMATCH' }));
    file.close();
  });

  it('tells the kinds apart by their first bytes', () => {
    expect(detectCompression(Buffer.from('1f8b', 'hex'), 'none')).toBe('gzip');
    expect(detectCompression(Buffer.from('28b52ffd', 'hex'), 'none')).toBe('zstd');
    expect(detectCompression(Buffer.from('5f2a4d18', 'hex'), 'none')).toBe('zstd');
    expect(detectCompression(Buffer.from('602a4d18', 'hex'), 'none')).toBe('none');
    expect(detectCompression(Buffer.alloc(0), 'gzip')).toBe('gzip');
  });
});
