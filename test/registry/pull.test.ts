/** Pulls from Debian's docker-registry: what arrives, what is asked for, and what is not. */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type LocalBlobStore, openBlobStore } from '../../src/blobs/index.js';
import { parseDigest, parsePlatform } from '../../src/oci/index.js';
import { type BlobProgress, fetchArtifact, pullImage, resolveReference } from '../../src/registry/index.js';
import type { PullTask } from '../support/pull-process.js';
import { startRegistry, type TestRegistry } from '../support/registry.js';
import { startFakeRegistry } from '../support/registry-fake.js';
import {
  blobOf,
  imageOf,
  indexOf,
  layerOf,
  type MadeImage,
  noise,
  OCI_MANIFEST,
  pushImages,
} from '../support/registry-images.js';
import { transpileSources } from '../support/transpile.js';

const base = layerOf({ 'etc/base': 'base\n', 'data/noise': noise(3_000_000) });
const middle = layerOf({ 'etc/middle': 'middle\n' });
const top = layerOf({ 'etc/top': 'top\n', 'data/more': noise(500_000, 2) });
const run = { Env: ['PATH=/bin'], Cmd: ['sh'], WorkingDir: '/srv', User: '7' };
const amd64 = imageOf([base, middle, top], { run });
const arm64 = imageOf([layerOf({ 'etc/arm': 'arm\n' })], { architecture: 'arm64' });

let registry: TestRegistry;
let directory: string;
let blobs: LocalBlobStore;

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

/** Pulls everything and compares every layer byte by byte. */
async function pullAll(reference: string, made: MadeImage = amd64, options: object = {}): Promise<void> {
  await using image = await pullImage(reference, { blobs, env: {}, ...options });
  await image.done;
  expect(image.manifestDigest).toBe(made.manifest.digest);
  expect(image.layers).toHaveLength(made.layers.length);
  for (const [index, layer] of image.layers.entries()) {
    expect((await readFile(await layer.open())).equals(made.layers[index]?.bytes ?? Buffer.alloc(0))).toBe(
      true,
    );
    expect(layer.diffId).toBe(made.layers[index]?.diffId);
  }
}

describe('pullImage from a real registry', () => {
  it('brings every layer, verified, and asks for each thing once', async () => {
    await using image = await pullImage(`${registry.host}/team/multi:1`, { blobs, env: {} });
    expect(image).toMatchObject({
      reference: `${registry.host}/team/multi:1`,
      indexDigest: indexOf([arm64, amd64]).digest,
      manifestDigest: amd64.manifest.digest,
      platform: { os: 'linux', architecture: 'amd64' },
      config: { env: ['PATH=/bin'], cmd: ['sh'], workingDir: '/srv', user: '7' },
    });
    await image.done;
    expect(registry.requests().toSorted()).toEqual(
      [
        'GET /v2/team/multi/manifests/1',
        `GET /v2/team/multi/manifests/${amd64.manifest.digest}`,
        ...[amd64.config, base, middle, top].map(({ digest }) => `GET /v2/team/multi/blobs/${digest}`),
      ].toSorted(),
    );
    await pullAll(`${registry.host}/team/multi:1`);
  });

  it('asks only whether the tag has moved when all is there', async () => {
    await pullAll(`${registry.host}/team/multi:1`);
    registry.forget();
    await pullAll(`${registry.host}/team/multi:1`);
    expect(registry.requests()).toEqual(['HEAD /v2/team/multi/manifests/1']);
  });

  it('asks nothing for a digest that is there, whichever spelling it has', async () => {
    await pullAll(`${registry.host}/team/multi:1`);
    registry.forget();
    await pullAll(`${registry.host}/team/multi@${indexOf([arm64, amd64]).digest}`);
    await pullAll(`${registry.host}/team/multi:other@${amd64.manifest.digest}`);
    expect(registry.requests()).toEqual([]);
  });

  it('takes the platform that is asked for', async () => {
    await pullAll(`${registry.host}/team/multi:1`, arm64, { platform: parsePlatform('linux/arm64') });
    const riscv = { platform: parsePlatform('linux/riscv64') };
    await expect(pullAll(`${registry.host}/team/multi:1`, arm64, riscv)).rejects.toMatchObject({
      code: 'PLATFORM_NOT_FOUND',
      details: { offered: ['linux/amd64', 'linux/arm64'] },
    });
  });

  it('follows a tag that moves and keeps what it was bound to', async () => {
    const [before, after] = [imageOf([layerOf({ v: '1' })]), imageOf([layerOf({ v: '2' })])];
    await pushImages(registry, 'team/moving', '1', [before]);
    await pullAll(`${registry.host}/team/moving:1`, before);
    await pushImages(registry, 'team/moving', '1', [after]);
    await pullAll(`${registry.host}/team/moving:1`, after);
    registry.forget();
    await pullAll(`${registry.host}/team/moving@${before.manifest.digest}`, before);
    await pullAll(`${registry.host}/team/moving:1`, after, { offline: true });
    expect(registry.requests()).toEqual([]);
  });

  it('says which image is missing', async () => {
    for (const name of ['team/none:1', 'team/multi:none', `team/multi@sha256:${'0'.repeat(64)}`]) {
      await expect(pullAll(`${registry.host}/${name}`)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    }
  });

  it('resolves without fetching a layer, with and without a store', async () => {
    const reference = `${registry.host}/team/multi:1`;
    expect(await resolveReference(reference, { env: {} })).toMatchObject({
      manifestDigest: amd64.manifest.digest,
    });
    await resolveReference(reference, { env: {}, blobs });
    registry.forget();
    expect(await resolveReference(reference, { env: {}, blobs, offline: true })).toMatchObject({
      manifestDigest: amd64.manifest.digest,
    });
    await resolveReference(`${registry.host}/team/single:1`, { env: {} });
    expect(registry.requests()).toEqual([
      'GET /v2/team/single/manifests/1',
      `GET /v2/team/single/blobs/${amd64.config.digest}`,
    ]);
  });
});

describe('offline', () => {
  it('works with what is there and names what is not', async () => {
    const reference = `${registry.host}/team/multi:1`;
    const offline = { offline: true };
    await expect(pullAll(reference, amd64, offline)).rejects.toMatchObject({
      code: 'OFFLINE',
      details: { missing: reference },
    });
    await pullAll(reference);
    registry.forget();
    await pullAll(reference, amd64, offline);
    await rm(blobs.path((await blobs.findRef(reference))?.digest ?? expect.fail()));
    await expect(pullAll(reference, amd64, offline)).rejects.toMatchObject({
      code: 'OFFLINE',
      details: { missing: indexOf([arm64, amd64]).digest },
    });
    const byDigest = `${registry.host}/team/multi@${amd64.manifest.digest}`;
    await rm(join(directory, 'blobs', 'blobs', 'sha256', top.digest.slice(7)));
    await expect(pullAll(byDigest, amd64, offline)).rejects.toMatchObject({
      code: 'OFFLINE',
      details: { missing: top.digest },
    });
    expect(registry.requests()).toEqual([]);
  });
});

describe('a damaged cache', () => {
  const reference = (): string => `${registry.host}/team/multi:1`;
  const pathOf = ({ digest }: { digest: string }): string =>
    join(directory, 'blobs', 'blobs', 'sha256', digest.slice(7));
  const flip = async (path: string): Promise<void> => {
    const bytes = await readFile(path);
    bytes.writeUInt8((bytes[100] ?? 0) ^ 1, 100);
    await writeFile(path, bytes);
  };
  const cases: ReadonlyArray<[name: string, damage: (path: string) => Promise<unknown>]> = [
    ['deleted', (path) => rm(path)],
    ['emptied', (path) => truncate(path, 0)],
    ['cut', (path) => truncate(path, 50)],
    ['a dangling link', async (path) => rm(path).then(() => symlink('/nonexistent', path))],
    ['a link elsewhere', async (path) => rm(path).then(() => symlink('/etc/hostname', path))],
    ['a directory', async (path) => rm(path).then(() => mkdir(path))],
  ];
  const blobsOf = {
    index: indexOf([arm64, amd64]),
    manifest: amd64.manifest,
    config: amd64.config,
    layer: base,
  };

  it.each(cases)('is mended when a blob is %s', async (_name, damage) => {
    for (const blob of Object.values(blobsOf)) {
      await pullAll(reference());
      await damage(pathOf(blob));
      registry.forget();
      await pullAll(reference());
      expect(registry.requests().filter((request) => request.startsWith('GET'))).toHaveLength(1);
    }
  });

  it.each(['index', 'manifest', 'config'] as const)(
    'is mended when a bit of the %s is flipped',
    async (name) => {
      await pullAll(reference());
      await flip(pathOf(blobsOf[name]));
      registry.forget();
      await pullAll(reference());
      expect(registry.requests().filter((request) => request.startsWith('GET'))).toHaveLength(1);
    },
  );

  it('with a flipped bit in a layer is mended when its user says so, or by a pull that verifies', async () => {
    await pullAll(reference());
    await flip(pathOf(base));
    await using image = await pullImage(reference(), { blobs, env: {} });
    expect(await blobs.discard(image.layers[0]?.descriptor.digest ?? expect.fail())).toBe(true);
    await pullAll(reference());
    await flip(pathOf(base));
    await pullAll(reference(), amd64, { verify: true });
  });
});

describe('layers on their way', () => {
  it('can be read while they grow, and arrive top first', async () => {
    const release: Array<() => void> = [];
    const half = Math.floor(top.bytes.byteLength / 2);
    await using slow = await startFakeRegistry({
      images: [amd64],
      intercept: async ({ path }, _request, response) => {
        if (!path.includes(top.digest)) return false;
        response.writeHead(200, { 'content-length': top.bytes.byteLength });
        response.write(top.bytes.subarray(0, half));
        await new Promise<void>((resolve) => release.push(resolve));
        response.end(top.bytes.subarray(half));
        return true;
      },
    });
    const progress: BlobProgress[] = [];
    await using image = await pullImage(`${slow.host}/test:1`, {
      blobs,
      env: {},
      limits: { maxTransfers: 1 },
      onProgress: (event) => progress.push(event),
    });
    const layer = image.layers[2] ?? expect.fail();
    const path = await layer.open();
    const file = await open(path, 'r');
    expect(await layer.available(0)).toBeLessThanOrEqual(half);
    expect(await layer.available(half - 1)).toBe(half);
    const buffer = Buffer.alloc(top.bytes.byteLength);
    await file.read(buffer, 0, half, 0);
    let isMore = false;
    const more = layer.available(half).then((bytes) => {
      isMore = true;
      return bytes;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isMore).toBe(false);
    release[0]?.();
    expect(await more).toBeGreaterThan(half);
    await layer.done;
    expect(await layer.available(2 ** 40)).toBe(top.bytes.byteLength);
    // The old name is still good, and so is the open file.
    expect((await readFile(path)).equals(top.bytes)).toBe(true);
    await file.read(buffer, half, buffer.byteLength - half, half);
    expect(buffer.equals(top.bytes)).toBe(true);
    await file.close();
    await image.done;
    const order = slow.seen
      .filter(({ path: asked }) => asked.includes('/blobs/'))
      .map(({ path: asked }) => asked.slice(-71));
    expect(order.filter((digest) => digest !== amd64.config.digest)).toEqual(
      [top, middle, base].map(({ digest }) => digest),
    );
    const last = new Map(progress.map((event) => [event.digest as string, event]));
    for (const { digest, bytes } of [top, middle, base]) {
      expect(last.get(digest)).toMatchObject({
        state: 'done',
        receivedBytes: bytes.byteLength,
        sizeBytes: bytes.byteLength,
      });
    }
  });

  it('are shown only once they are right when an earlier process left wrong bytes', async () => {
    const key = { digest: parseDigest(base.digest), sizeBytes: base.bytes.byteLength };
    const ingest = (await blobs.ingest(key)) ?? expect.fail();
    await ingest.write([Buffer.alloc(1_000_000, 7)]);
    await ingest[Symbol.asyncDispose]();
    await using image = await pullImage(`${registry.host}/team/multi:1`, { blobs, env: {} });
    const layer = image.layers[0] ?? expect.fail();
    const path = await layer.open();
    await layer.done;
    expect((await readFile(path)).equals(base.bytes)).toBe(true);
  });

  it('of no bytes need no request', async () => {
    const empty = { ...layerOf({}), bytes: Buffer.alloc(0), digest: blobOf(Buffer.alloc(0)).digest };
    await using fake = await startFakeRegistry({ images: [imageOf([empty])] });
    await pullAll(`${fake.host}/test:1`, imageOf([empty]));
    expect(fake.count(empty.digest)).toBe(0);
  });
});

describe('fetchArtifact', () => {
  it('PY-33, PY-38, PY-39: brings the tar+gzip layers of an artifact for linux/amd64 from an index', async () => {
    const artifactOf = (architecture: string) => {
      const kernel = layerOf({ vmlinux: `kernel for ${architecture}` });
      const rootfs = layerOf({ 'rootfs.ext4': `rootfs for ${architecture}` });
      const config = blobOf(Buffer.from('{}'));
      const manifest = blobOf({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        artifactType: 'application/vnd.hearth.environment.v1',
        config: {
          mediaType: 'application/vnd.oci.empty.v1+json',
          digest: config.digest,
          size: config.bytes.byteLength,
        },
        layers: [kernel, rootfs].map(({ mediaType, digest, bytes }) => ({
          mediaType,
          digest,
          size: bytes.byteLength,
        })),
      });
      return { manifest, config, layers: [kernel, rootfs], platform: { os: 'linux', architecture } };
    };
    const [arm, amd] = [artifactOf('arm64'), artifactOf('amd64')];
    await using fake = await startFakeRegistry({ images: [arm, amd] });
    await using artifact = await fetchArtifact(`${fake.host}/test:1`, { blobs, env: {} });
    await artifact.done;
    expect(artifact).toMatchObject({
      manifestDigest: amd.manifest.digest,
      manifest: { artifactType: 'application/vnd.hearth.environment.v1' },
    });
    for (const [index, blob] of artifact.blobs.entries()) {
      expect(await readFile(await blob.open())).toEqual(amd.layers[index]?.bytes);
    }
    expect(fake.count(amd.config.digest)).toBe(0);
    await expect(pullImage(`${fake.host}/test:1`, { blobs, env: {} })).rejects.toMatchObject({
      code: 'MEDIA_TYPE_UNSUPPORTED',
    });
  });
});

/** Runs pulls in processes of their own whose store lies on a file system of its own. */
class SmallDisk {
  readonly #mount = join(directory, 'small');
  readonly #code: string;

  constructor(code: string) {
    this.#code = code;
  }

  /** A command line that pulls an image; the pull talks to the registry itself, since this process waits. */
  pull(name: string): string {
    const task: PullTask = { reference: `${registry.directHost}/${name}`, store: join(this.#mount, 'blobs') };
    return `${process.execPath} ${join(this.#code, 'test/support/pull-process.js')} '${JSON.stringify(task)}'`;
  }

  /** What the commands print, run with a fresh file system that has these mount options. */
  run(options: string, ...commands: string[]): string {
    const all = [`mkdir -p ${this.#mount}`, `mount -t tmpfs -o ${options} none ${this.#mount}`, ...commands];
    const script = all.join(' && ').replaceAll('$MOUNT', this.#mount);
    const child = spawnSync('unshare', ['--map-root-user', '--mount', 'sh', '-c', script], {
      encoding: 'utf8',
    });
    return child.stdout;
  }
}

describe('a file system', () => {
  let code: string;
  beforeAll(async () => {
    code = await transpileSources(['test/support/pull-process.ts']);
  });
  afterAll(() => rm(code, { recursive: true, force: true }));

  it('that is full stops the pull, and is freed of what the pull has brought', () => {
    const disk = new SmallDisk(code);
    const pull = disk.pull('team/multi:1');
    const list = 'ls $MOUNT/blobs/ingest';
    expect(disk.run('size=2m', pull, list)).toMatch(/^{"error":"DISK_FULL"}\n(?:.*\.lock\n)*$/);
    expect(disk.run('size=20m,nr_inodes=12', pull, list)).toMatch(/^{"error":"DISK_FULL"}/);
    expect(disk.run('size=20m', pull)).toMatch(/^{"manifestDigest"/);
  });

  it('that can only be read serves what it holds and refuses the rest', () => {
    const disk = new SmallDisk(code);
    const known = disk.pull('team/multi:1');
    const unknown = disk.pull('team/single:1');
    const printed = disk.run('size=20m', known, 'mount -o remount,ro $MOUNT', known, unknown);
    const digest = `{"manifestDigest":"${amd64.manifest.digest}"}`;
    expect(printed.trim().split('\n')).toEqual([digest, digest, '{"error":"FILE_UNREADABLE"}']);
  });
});
