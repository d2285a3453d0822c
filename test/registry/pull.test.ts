/** Pulls from Debian's docker-registry: what arrives, and what is asked for. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type LocalBlobStore, openBlobStore } from '../../src/blobs/index.js';
import { pullImage } from '../../src/registry/index.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { imageOf, indexOf, layerOf, noise, pushImages } from '../support/registry-images.js';

let registry: TestRegistry;
let directory: string;
let blobs: LocalBlobStore;

const base = layerOf({ 'etc/base': 'base\n', 'data/noise': noise(3_000_000) });
const middle = layerOf({ 'etc/middle': 'middle\n' });
const top = layerOf({ 'etc/top': 'top\n', 'data/more': noise(500_000, 2) });
const amd64 = imageOf([base, middle, top], {
  run: { Env: ['PATH=/bin'], Cmd: ['sh'], WorkingDir: '/srv', User: '7' },
});
const arm64 = imageOf([layerOf({ 'etc/arm': 'arm\n' })], { architecture: 'arm64' });

beforeAll(async () => {
  registry = await startRegistry();
  await pushImages(registry, 'team/multi', '1', [arm64, amd64]);
  await pushImages(registry, 'team/single', '1', [amd64]);
});
afterAll(() => registry?.stop());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-pull-'));
  blobs = await openBlobStore(join(directory, 'blobs'));
  registry.forget();
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('pullImage from a real registry', () => {
  it('brings every layer, verified, and asks for each thing once', async () => {
    await using image = await pullImage(`${registry.host}/team/multi:1`, { blobs });
    expect(image.manifestDigest).toBe(amd64.manifest.digest);
    expect(image.indexDigest).toBe(indexOf([arm64, amd64]).digest);
    expect(image.config).toMatchObject({ env: ['PATH=/bin'], cmd: ['sh'], workingDir: '/srv', user: '7' });
    await image.done;
    for (const [index, made] of [base, middle, top].entries()) {
      const layer = image.layers[index];
      expect(layer?.diffId).toBe(made.diffId);
      const path = await layer?.open();
      expect((await readFile(path ?? '')).equals(made.bytes)).toBe(true);
    }
    expect(registry.requests().slice().sort()).toEqual(
      [
        'GET /v2/team/multi/manifests/1',
        `GET /v2/team/multi/manifests/${amd64.manifest.digest}`,
        ...[amd64.config, base, middle, top].map(({ digest }) => `GET /v2/team/multi/blobs/${digest}`),
      ].sort(),
    );
  });
});
