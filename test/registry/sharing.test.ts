/** One store, many processes: each blob is fetched once, and whoever dies leaves nothing in the way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openBlobStore } from '../../src/blobs/index.js';
import { digestOf } from '../../src/oci/index.js';
import { pullImage } from '../../src/registry/index.js';
import type { PullTask } from '../support/pull-process.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { startFakeRegistry } from '../support/registry-fake.js';
import { imageOf, layerOf, noise, pushImages } from '../support/registry-images.js';
import { transpileSources } from '../support/transpile.js';

const shared = layerOf({ 'data/shared': noise(4_000_000) });
const one = imageOf([shared, layerOf({ 'etc/one': 'one' }), layerOf({ 'data/one': noise(1_000_000, 2) })]);
const two = imageOf([shared, layerOf({ 'etc/two': 'two' })]);
const twice = imageOf([shared, layerOf({ 'etc/x': 'x' }), shared]);

let code: string;
let registry: TestRegistry;
let directory: string;
let store: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  code = await transpileSources(['test/support/pull-process.ts']);
  registry = await startRegistry();
  await pushImages(registry, 'one', '1', [one]);
  await pushImages(registry, 'two', '1', [two]);
  await pushImages(registry, 'twice', '1', [twice]);
});
afterAll(async () => {
  await registry?.stop();
  await rm(code, { recursive: true, force: true });
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-sharing-'));
  store = join(directory, 'blobs');
  registry.forget();
});
afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
  await rm(directory, { recursive: true, force: true });
});

function startPull(reference: string): ChildProcess {
  const script = join(code, 'test/support/pull-process.js');
  const task: PullTask = { reference, store };
  const child = spawn(process.execPath, [script, JSON.stringify(task)]);
  children.push(child);
  return child;
}

/** What the process printed at its end; undefined when it was killed before. */
async function outcome(child: ChildProcess): Promise<unknown> {
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  child.stderr?.resume();
  await once(child, 'close');
  return text === '' ? undefined : JSON.parse(text);
}

/** How often each blob was asked for. */
function blobCounts(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const request of registry.requests()) {
    const digest = /^GET .*\/blobs\/(.*)$/.exec(request)?.[1];
    if (digest !== undefined) counts[digest] = (counts[digest] ?? 0) + 1;
  }
  return counts;
}

/** Every file under a blob's name is that blob, and no writer has left anything. */
async function expectSoundStore(): Promise<void> {
  const names = await readdir(join(store, 'blobs', 'sha256'));
  for (const name of names) {
    expect(digestOf(await readFile(join(store, 'blobs', 'sha256', name)))).toBe(`sha256:${name}`);
  }
  const left = await readdir(join(store, 'ingest'));
  expect(left.filter((name) => !name.endsWith('.lock'))).toEqual([]);
}

describe('processes that share a store', () => {
  it('16 of them pulling one reference download each blob once', async () => {
    const pulls = Array.from({ length: 16 }, () => outcome(startPull(`${registry.host}/one:1`)));
    for (const result of await Promise.all(pulls))
      expect(result).toEqual({ manifestDigest: one.manifest.digest });
    const wanted = [one.config, ...one.layers].map(({ digest }) => [digest, 1]);
    expect(blobCounts()).toEqual(Object.fromEntries(wanted));
    await expectSoundStore();
  });

  it('those pulling different images download a shared layer once', async () => {
    const names = ['one', 'two', 'twice', 'one', 'two', 'twice'];
    const results = await Promise.all(names.map((name) => outcome(startPull(`${registry.host}/${name}:1`))));
    expect(results.map((result) => (result as { manifestDigest: string }).manifestDigest)).toEqual(
      [one, two, twice, one, two, twice].map(({ manifest }) => manifest.digest),
    );
    expect(Object.values(blobCounts()).every((count) => count === 1)).toBe(true);
    await expectSoundStore();
  });

  it('one killed in the middle of a download is continued, not repeated', async () => {
    const bytes = shared.bytes.byteLength;
    let sentBytes = 0;
    await using slow = await startFakeRegistry({
      images: [two],
      intercept: async ({ path, range }, request, response) => {
        if (!path.includes(shared.digest)) return false;
        const offset = Number(/\d+/.exec(range ?? '0')?.[0]);
        response.writeHead(range === undefined ? 200 : 206, {
          'content-length': bytes - offset,
          'content-range': `bytes ${offset}-${bytes - 1}/${bytes}`,
        });
        // Whoever asks first gets three quarters, and then nothing more until it is killed.
        const end = range === undefined ? bytes * 0.75 : bytes;
        for (let at = offset; at < end && !request.socket.destroyed; at += 100_000) {
          const piece = shared.bytes.subarray(at, at + 100_000);
          await new Promise<void>((resolve) => response.write(piece, () => resolve()));
          sentBytes += piece.byteLength;
        }
        if (range !== undefined) response.end();
        return true;
      },
    });
    const first = startPull(`${slow.host}/test:1`);
    const second = startPull(`${slow.host}/test:1`);
    const ends = [outcome(first), outcome(second)];
    // Whichever of the two is downloading the layer is killed half way.
    await new Promise<void>((resolve) => {
      for (const child of [first, second]) {
        child.stderr?.on('data', (chunk: Buffer) => {
          if (Number(chunk.toString().trim().split('\n').at(-1)) <= bytes / 2) return;
          if (children.every(({ killed }) => !killed)) child.kill('SIGKILL');
          resolve();
        });
      }
    });
    const results = await Promise.all(ends);
    expect(results.filter((result) => result !== undefined)).toEqual([
      { manifestDigest: two.manifest.digest },
    ]);
    expect(slow.seen.filter(({ path }) => path.includes(shared.digest)).map(({ range }) => range)).toEqual([
      undefined,
      expect.stringMatching(/^bytes=[1-9]\d*-$/),
    ]);
    expect(sentBytes).toBeLessThan(bytes * 1.6);
    await expectSoundStore();
  });

  it('killed at any point, the next pull succeeds and nothing is left', async () => {
    for (let round = 0; round < 12; round += 1) {
      const child = startPull(`${registry.host}/one:1`);
      const end = outcome(child);
      setTimeout(() => child.kill('SIGKILL'), 80 + round * 25);
      await end;
      if (round % 3 === 2) {
        expect(await outcome(startPull(`${registry.host}/one:1`))).toEqual({
          manifestDigest: one.manifest.digest,
        });
        await expectSoundStore();
        await rm(store, { recursive: true, force: true });
      }
    }
  });

  it('a collector waits for them or gives up, and then takes nothing they need', async () => {
    const blobs = await openBlobStore(store);
    await using image = await pullImage(`${registry.host}/one:1`, { blobs, env: {} });
    await image.done;
    const other = await openBlobStore(store);
    await expect(other.gc({ refs: 'drop', timeoutMs: 0 })).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    await image[Symbol.asyncDispose]();
    expect(await other.gc()).toMatchObject({ removedCount: 0 });
    expect((await other.gc({ refs: 'drop' })).removedCount).toBe(5);
  });
});

describe('pulls of one process', () => {
  it('at the same time download each blob once, also a layer that is listed twice', async () => {
    const blobs = await openBlobStore(store);
    const images = await Promise.all(
      ['twice', 'twice', 'one'].map((name) => pullImage(`${registry.host}/${name}:1`, { blobs, env: {} })),
    );
    for (const image of images) await image.done;
    expect(images[0]?.layers).toHaveLength(3);
    for (const layer of images[0]?.layers ?? []) {
      expect(digestOf(await readFile(await layer.open()))).toBe(layer.descriptor.digest);
    }
    for (const image of images) await image[Symbol.asyncDispose]();
    expect(Object.values(blobCounts()).every((count) => count === 1)).toBe(true);
  });
});
