import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HearthError } from '../../src/errors/index.js';
import type { ImageLayer } from '../../src/oci/index.js';
import { buildRootfs, digestRootfs, type RootfsProgress, verifyRootfs } from '../../src/rootfs/index.js';
import { assertClean, linesOf, readWithDebugfs, run } from '../conformance/image-to-ext4/read-back.js';
import { gzipLayer, type LayerSpec, makeImage, TAR_LAYER, ZSTD_LAYER } from './support/image-builder.js';
import { dir, file, hardlink, header, latin1, pad, tar, whiteout } from './support/tar-builder.js';

let directory: string;
let outputPath: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-rootfs-'));
  await mkdir(join(directory, 'out'));
  outputPath = join(directory, 'out', 'rootfs.ext4');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Bytes that gzip hardly shrinks, the same ones for the same seed. */
function noise(byteLength: number, seed: number): Buffer {
  const bytes = Buffer.alloc(byteLength);
  let x = seed >>> 0 || 1;
  for (let i = 0; i + 4 <= byteLength; i += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes.writeInt32LE(x | 0, i);
  }
  return bytes;
}

const base = tar(
  dir('d'),
  file('d/a', noise(3_000_000, 1)),
  file('b', 'lower'),
  file('c', noise(100_000, 2)),
);
const upper = tar(file('b', 'upper'), whiteout('c'), hardlink('e', 'd/a'), file('f', noise(2_000_000, 3)));
const layers: LayerSpec[] = [gzipLayer(base), gzipLayer(upper)];
const lines = (path: string): string[] =>
  linesOf(readWithDebugfs(path)).map((line) => line.replace(/ = (.{0,20})[\s\S]*( #\d+)$/, ' = $1$2'));

/** The layer arriving in `pieces`, with `pauseMs` before each. */
function slowly(layer: ImageLayer, pieces: number, pauseMs: number): ImageLayer {
  const { sizeBytes } = layer.descriptor;
  let arrived = 0;
  return {
    ...layer,
    async available(offset) {
      while (arrived <= offset) {
        await sleep(pauseMs);
        arrived = Math.min(sizeBytes, arrived + Math.ceil(sizeBytes / pieces));
      }
      return arrived;
    },
  };
}

async function nothingLeft(): Promise<void> {
  expect(await readdir(join(directory, 'out'))).toEqual([]);
}

describe('buildRootfs', () => {
  it('builds a clean image, says what it did, and leaves nothing else behind', async () => {
    const image = await makeImage(directory, layers);
    const seen: RootfsProgress[] = [];
    const result = await buildRootfs(image, { outputPath, digest: true, onProgress: (p) => seen.push(p) });
    assertClean(outputPath);
    expect(lines(outputPath)).toEqual(['/b = upper #0', '/d/', '/d/a =  #1', '/e =  #1', '/f =  #2']);
    expect(result).toMatchObject({
      outputPath,
      sizeBytes: 1024 ** 3,
      layerCount: 2,
      uncompressedBytes: base.byteLength + upper.byteLength,
      entryCount: 8,
      digest: await digestRootfs(outputPath),
    });
    expect(result.contentBytes).toBeGreaterThanOrEqual(5_000_005);
    expect(result.contentBytes).toBeLessThan(5_100_000);
    expect(result.writtenBytes).toBeLessThan((await stat(outputPath)).blocks * 512 * 1.05 + 100_000);
    expect(await readdir(join(directory, 'out'))).toEqual(['rootfs.ext4']);
    expect(new Set(seen.map(({ stage }) => stage))).toContain('sync');
    expect(seen.at(-1)).toMatchObject({
      layerCount: 2,
      layersDone: 2,
      compressedBytes: result.compressedBytes,
    });
    for (const { compressedBytes, compressedTotalBytes } of seen) {
      expect(compressedBytes).toBeLessThanOrEqual(compressedTotalBytes);
    }
  });

  it('gives the same bytes for the same manifest, however the layers arrive', async () => {
    const digests: string[] = [];
    for (const [pieces, pauseMs] of [
      [1, 0],
      [7, 5],
      [50, 1],
    ] as const) {
      const image = await makeImage(directory, layers, {
        arrival: (layer) => slowly(layer, pieces, pauseMs),
      });
      await buildRootfs(image, { outputPath, sizeBytes: 64 * 1024 ** 2 });
      digests.push(run('sha256sum', [outputPath]));
    }
    expect(new Set(digests).size).toBe(1);
    const other = await makeImage(directory, [gzipLayer(base)]);
    await buildRootfs(other, { outputPath, sizeBytes: 64 * 1024 ** 2 });
    expect(run('dumpe2fs', ['-h', outputPath])).toMatch(
      /Filesystem UUID: +[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/,
    );
    expect(digests).not.toContain(run('sha256sum', [outputPath]));
  });

  it('reads uncompressed, zstd and several gzip members, and a layer that is listed three times', async () => {
    const zstd = run('zstd', ['-q', '-c', await written('base.tar', base)]);
    const half = Math.floor(base.byteLength / 2);
    const members = Buffer.concat([
      gzipSync(base.subarray(0, half)),
      gzipSync(base.subarray(half)),
      Buffer.alloc(512),
    ]);
    const variants: LayerSpec[] = [
      { tar: base, blob: base, mediaType: TAR_LAYER },
      { tar: base, blob: latin1(zstd), mediaType: ZSTD_LAYER },
      { tar: base, blob: members },
    ];
    for (const variant of [...variants.map((layer) => [layer]), [...variants, variants[0] as LayerSpec]]) {
      await buildRootfs(await makeImage(directory, variant), { outputPath });
      assertClean(outputPath);
      expect(lines(outputPath)).toEqual([
        '/b = lower #0',
        `/c = ${lineStart(100_000, 2)} #1`,
        '/d/',
        '/d/a =  #2',
      ]);
    }
  });

  async function written(name: string, bytes: Uint8Array): Promise<string> {
    const path = join(directory, name);
    await writeFile(path, bytes);
    return path;
  }

  it('replaces an older image only when the new one is complete', async () => {
    await writeFile(outputPath, 'old');
    const broken = await makeImage(directory, [
      { ...gzipLayer(base), blob: gzipSync(base).subarray(0, 1000) },
    ]);
    await expect(buildRootfs(broken, { outputPath })).rejects.toMatchObject({ code: 'COMPRESSION_INVALID' });
    expect(await readFile(outputPath, 'utf8')).toBe('old');
    await buildRootfs(await makeImage(directory, layers), { outputPath });
    assertClean(outputPath);
  });

  it.each([0, 30, 120, 300])(
    'leaves nothing when it is aborted after %i ms, and rejects with the reason',
    async (ms) => {
      const image = await makeImage(directory, layers, { arrival: (layer) => slowly(layer, 100, 10) });
      const controller = new AbortController();
      const reason = new Error('enough');
      const built = buildRootfs(image, { outputPath, signal: controller.signal });
      setTimeout(() => controller.abort(reason), ms);
      await expect(built).rejects.toBe(reason);
      await nothingLeft();
    },
  );

  it("fails with the transfer's error, also when the layer had been read to its end", async () => {
    const failure = new HearthError('REGISTRY_UNAVAILABLE', 'gone');
    for (const where of ['available', 'open', 'done'] as const) {
      const image = await makeImage(directory, layers, {
        arrival: (layer, index) => {
          if (index === 1) return layer;
          const failing = async (): Promise<never> => {
            await sleep(20);
            throw failure;
          };
          if (where !== 'done') return { ...layer, [where]: failing };
          const done = sleep(300).then(failing);
          done.catch(() => undefined);
          return { ...layer, done };
        },
      });
      await expect(buildRootfs(image, { outputPath })).rejects.toMatchObject({
        code: 'REGISTRY_UNAVAILABLE',
      });
      await nothingLeft();
    }
  });

  it('blames the blob when the transfer says that it was wrong', async () => {
    const mismatch = new HearthError('DIGEST_MISMATCH', 'altered on the way');
    const image = await makeImage(directory, [{ ...gzipLayer(base), blob: Buffer.alloc(5000, 'x') }], {
      arrival: (layer) => ({ ...layer, done: sleep(100).then(() => Promise.reject(mismatch)) }),
    });
    await expect(buildRootfs(image, { outputPath })).rejects.toBe(mismatch);
    await nothingLeft();
  });

  it('stops reading a bomb at the limit', async () => {
    const bomb = gzipSync(
      Buffer.concat([header({ path: 'zeros', size: 400_000_000 }, 0), Buffer.alloc(400_000_000)]),
    );
    const many = gzipSync(
      Buffer.concat(
        Array.from({ length: 200 }, (_, i) =>
          Buffer.concat([header({ path: `f${i}` }, 1_000_000), pad(Buffer.alloc(1_000_000))]),
        ),
      ),
    );
    for (const blob of [bomb, many]) {
      let read = 0;
      const image = await makeImage(directory, [{ tar: Buffer.alloc(0), blob }]);
      const options = {
        outputPath,
        maxContentBytes: 5_000_000,
        onProgress: (p: RootfsProgress) => (read = p.uncompressedBytes),
      };
      await expect(buildRootfs(image, options)).rejects.toMatchObject({
        code: 'CONTENT_TOO_LARGE',
        kind: 'limit',
      });
      expect(read).toBeLessThan(10_000_000);
      await nothingLeft();
    }
  });

  it('names the least size that works', async () => {
    const image = await makeImage(directory, layers);
    const refused = await buildRootfs(image, { outputPath, sizeBytes: 4_000_000 }).catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({
      code: 'ROOTFS_TOO_SMALL',
      details: { minimumBytes: expect.any(Number) },
    });
    await nothingLeft();
    const { minimumBytes } = (refused as HearthError).details as { minimumBytes: number };
    await buildRootfs(image, { outputPath, sizeBytes: minimumBytes });
    assertClean(outputPath);
    await expect(buildRootfs(image, { outputPath, sizeBytes: minimumBytes - 4096 })).rejects.toMatchObject({
      code: 'ROOTFS_TOO_SMALL',
    });
  });

  it('fetches a hidden body again when a hard link keeps it', async () => {
    const lower = gzipLayer(
      tar(file('a', noise(2_000_000, 9)), hardlink('b', 'a'), file('x', noise(500_000, 4))),
    );
    const image = await makeImage(directory, [lower, gzipLayer(tar(file('a', 'new'), whiteout('x')))]);
    const result = await buildRootfs(image, { outputPath });
    assertClean(outputPath);
    expect(result.contentBytes).toBeLessThan(2_100_000);
    const body = join(directory, 'b');
    run('debugfs', ['-R', `dump /b ${body}`, outputPath]);
    expect((await readFile(body)).equals(noise(2_000_000, 9))).toBe(true);
  });

  it('refuses diffIDs that are not as many as the layers', async () => {
    const image = await makeImage(directory, layers, { diffIds: [] });
    await expect(buildRootfs(image, { outputPath })).rejects.toMatchObject({ code: 'IMAGE_CONFIG_INVALID' });
    await nothingLeft();
  });

  it('says what is wrong with the output', async () => {
    const image = await makeImage(directory, layers);
    const missing = join(directory, 'no', 'rootfs.ext4');
    await expect(buildRootfs(image, { outputPath: missing })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('removes what a killed build left, and not what another one is making', async () => {
    const dead = spawn('true');
    await once(dead, 'exit');
    const left = join(directory, 'out', `.rootfs.ext4.${dead.pid}-0123456789ab.partial`);
    const alive = join(directory, 'out', `.rootfs.ext4.${process.pid}-0123456789ab.partial`);
    const others = join(directory, 'out', '.rootfs.ext4.partial');
    for (const path of [left, alive, others]) await writeFile(path, '');
    await buildRootfs(await makeImage(directory, layers), { outputPath });
    expect((await readdir(join(directory, 'out'))).sort()).toEqual(
      [others, alive, outputPath].map((path) => path.slice(join(directory, 'out').length + 1)).sort(),
    );
  });

  it('can be verified, and a changed image is found out', async () => {
    const image = await makeImage(directory, layers);
    const { digest } = await buildRootfs(image, { outputPath, digest: true });
    if (digest === undefined) throw new Error('no digest');
    await verifyRootfs(outputPath, digest);
    run('debugfs', ['-w', '-R', 'set_inode_field /b mode 0100777', outputPath]);
    await expect(verifyRootfs(outputPath, digest)).rejects.toMatchObject({ code: 'ROOTFS_DIGEST_MISMATCH' });
  });
});

function lineStart(byteLength: number, seed: number): string {
  return noise(byteLength, seed).subarray(0, 20).toString('latin1');
}
