/** What the client does when registries fail, lie or attack; each fault a row with its code. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalBlobStore, openBlobStore } from '../../src/blobs/index.js';
import { HearthError } from '../../src/errors/index.js';
import { digestOf } from '../../src/oci/index.js';
import { type PullOptions, pullImage } from '../../src/registry/index.js';
import { type FakeRegistry, type Intercept, startFakeRegistry } from '../support/registry-fake.js';
import { blobOf, imageOf, layerOf, noise, OCI_MANIFEST } from '../support/registry-images.js';
import { quickest } from '../support/timing.js';

const layer = layerOf({ 'data/noise': noise(2_000_000) });
const image = imageOf([layer]);
/** As long as the layer. */
const otherBytes = Buffer.from(layer.bytes).fill(7, 1000, 2000);
const LAYER_PATH = `/blobs/${layer.digest}`;
const FAST = {
  retryBaseMs: 1,
  maxAttempts: 3,
  maxTransferAttempts: 3,
} as const;
/** For servers that keep the client waiting; no limit for one that is slow because the machine is busy. */
const IMPATIENT = {
  headerTimeoutMs: 400,
  stallTimeoutMs: 400,
  requestTimeoutMs: 3000,
  rateWindowMs: 300,
} as const;
/** Where the next answer has to come within the limit. */
const WAITING_ONCE = { headerTimeoutMs: 3000, stallTimeoutMs: 3000 } as const;

let directory: string;
let blobs: LocalBlobStore;
const started: FakeRegistry[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-faults-'));
  blobs = await openBlobStore(join(directory, 'blobs'));
});
afterEach(async () => {
  for (const registry of started.splice(0)) await registry[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function start(intercept?: Intercept, images = [image]): Promise<FakeRegistry> {
  const registry = await startFakeRegistry({ images, ...(intercept === undefined ? {} : { intercept }) });
  started.push(registry);
  return registry;
}

/** Pulls to the last byte. */
async function pullAll(registry: FakeRegistry, options: Partial<PullOptions> = {}): Promise<void> {
  const limits = { ...FAST, ...options.limits };
  await using pulled = await pullImage(`${registry.host}/test:1`, { blobs, env: {}, ...options, limits });
  await pulled.done;
  const path = await pulled.layers[0]?.open();
  expect((await readFile(path ?? '')).equals(layer.bytes)).toBe(true);
}

/** What a failed pull must leave: no blob under a final name that is not what the name says. */
async function expectCleanStore(): Promise<void> {
  for (const name of await readdir(join(directory, 'blobs', 'blobs', 'sha256'))) {
    const bytes = await readFile(join(directory, 'blobs', 'blobs', 'sha256', name));
    expect(digestOf(bytes)).toBe(`sha256:${name}`);
  }
}

const send = (
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: object = {},
): true => {
  response.writeHead(status, { ...headers });
  response.end(body);
  return true;
};
/** Sends the first part of the layer and breaks the connection. */
const cut = (response: ServerResponse, bytes: Buffer, length: number): true => {
  response.writeHead(200, { 'content-length': bytes.byteLength });
  response.write(bytes.subarray(0, length), () => setTimeout(() => response.destroy(), 30));
  return true;
};

describe('faults that pass are borne', () => {
  const rows: ReadonlyArray<
    [name: string, intercept: Intercept, layerRequests: number, limits?: PullOptions['limits']]
  > = [
    [
      '503 twice for the manifest',
      ({ path, repeat }, _q, r) => path.endsWith('/1') && repeat < 2 && send(r, 503, ''),
      1,
    ],
    [
      '500 for the layer',
      ({ path, repeat }, _q, r) => path.endsWith(LAYER_PATH) && repeat < 2 && send(r, 500, ''),
      3,
    ],
    [
      '502 with a page',
      ({ path, repeat }, _q, r) =>
        path.endsWith(LAYER_PATH) && repeat < 1 && send(r, 502, '<html>', { 'content-type': 'text/html' }),
      2,
    ],
    [
      '429 with Retry-After',
      ({ path, repeat }, _q, r) =>
        path.endsWith(LAYER_PATH) && repeat < 1 && send(r, 429, '', { 'retry-after': '1' }),
      2,
    ],
    [
      'a reset before the answer',
      ({ path, repeat }, q) => path.endsWith(LAYER_PATH) && repeat < 1 && q.destroy() !== undefined,
      2,
    ],
    [
      'a reset in the body',
      ({ path, repeat }, _q, r) => path.endsWith(LAYER_PATH) && repeat < 1 && cut(r, layer.bytes, 700_000),
      2,
    ],
    [
      'a body that ends early',
      ({ path, repeat }, _q, r) =>
        path.endsWith(LAYER_PATH) && repeat < 1 && send(r, 200, layer.bytes.subarray(0, 9)),
      2,
    ],
    [
      'a stalled body',
      ({ path, repeat }, _q, r) =>
        path.endsWith(LAYER_PATH) && repeat < 1 && r.writeHead(200).write(layer.bytes.subarray(0, 9)),
      2,
      WAITING_ONCE,
    ],
    ['no answer at all', ({ path, repeat }) => path.endsWith(LAYER_PATH) && repeat < 1, 2, WAITING_ONCE],
    [
      'many resets, each after some progress',
      ({ path, range }, _q, r) => {
        if (!path.endsWith(LAYER_PATH)) return false;
        const offset = Number(/\d+/.exec(range ?? '0')?.[0]);
        const rest = layer.bytes.subarray(offset);
        if (rest.byteLength < 300_000) return false;
        const contentRange = `bytes ${offset}-${layer.bytes.byteLength - 1}/${layer.bytes.byteLength}`;
        r.writeHead(range === undefined ? 200 : 206, {
          'content-length': rest.byteLength,
          'content-range': contentRange,
        });
        r.write(rest.subarray(0, 250_000), () => setTimeout(() => r.destroy(), 30));
        return true;
      },
      8,
    ],
    [
      'a server without ranges',
      ({ path, repeat }, _q, r) => {
        if (!path.endsWith(LAYER_PATH)) return false;
        return repeat < 1 ? cut(r, layer.bytes, 700_000) : send(r, 200, layer.bytes);
      },
      2,
    ],
  ];
  it.each(rows)('%s', async (_name, intercept, layerRequests, limits = {}) => {
    const registry = await start(intercept);
    await pullAll(registry, { limits });
    expect(registry.count(LAYER_PATH)).toBe(layerRequests);
  });

  it('what has arrived is not asked for again', async () => {
    const registry = await start(
      ({ path, repeat }, _q, r) => path.endsWith(LAYER_PATH) && repeat < 1 && cut(r, layer.bytes, 700_000),
    );
    await pullAll(registry);
    const ranges = registry.seen.filter(({ path }) => path.endsWith(LAYER_PATH)).map(({ range }) => range);
    expect(ranges[0]).toBeUndefined();
    expect(Number(/^bytes=(\d+)-$/.exec(ranges[1] ?? '')?.[1])).toBeGreaterThan(0);
  });
});

describe('faults that stay have their code', () => {
  const of = (
    path: string,
    act: (response: ServerResponse, request: IncomingMessage) => boolean,
  ): Intercept => {
    return (seen, request, response) => seen.path.endsWith(path) && act(response, request);
  };
  const manifest = (value: unknown, headers: object = {}): Intercept =>
    of('/1', (r) =>
      send(r, 200, Buffer.from(JSON.stringify(value)), { 'content-type': OCI_MANIFEST, ...headers }),
    );
  const made = JSON.parse(image.manifest.bytes.toString());
  const page = '<!DOCTYPE html><html><head><title>Hotel Wi-Fi</title>';
  const html = { 'content-type': 'text/html; charset=utf-8' };

  const rows: ReadonlyArray<
    [name: string, intercept: Intercept, expected: { readonly code: string; readonly details?: object }]
  > = [
    ['no such manifest', of('/1', (r) => send(r, 404, '')), { code: 'MANIFEST_UNKNOWN' }],
    [
      'no such config',
      of(`/blobs/${image.config.digest}`, (r) => send(r, 404, '')),
      { code: 'BLOB_UNKNOWN' },
    ],
    ['no such layer', of(LAYER_PATH, (r) => send(r, 404, '')), { code: 'BLOB_UNKNOWN' }],
    ['403', of('/1', (r) => send(r, 403, '')), { code: 'REGISTRY_DENIED' }],
    ['401 without a challenge', of('/1', (r) => send(r, 401, '')), { code: 'REGISTRY_UNAUTHORIZED' }],
    [
      '401 with an unknown challenge',
      of('/1', (r) => send(r, 401, '', { 'www-authenticate': 'Negotiate' })),
      { code: 'REGISTRY_UNAUTHORIZED' },
    ],
    [
      '400',
      of('/1', (r) => send(r, 400, '')),
      { code: 'REGISTRY_RESPONSE_INVALID', details: { status: 400 } },
    ],
    ['418', of('/1', (r) => send(r, 418, '')), { code: 'REGISTRY_RESPONSE_INVALID' }],
    ['304', of('/1', (r) => send(r, 304, '')), { code: 'REGISTRY_RESPONSE_INVALID' }],
    [
      '503 for ever',
      of('/1', (r) => send(r, 503, '')),
      { code: 'REGISTRY_UNAVAILABLE', details: { status: 503 } },
    ],
    ['429 for ever', of('/1', (r) => send(r, 429, '')), { code: 'REGISTRY_RATE_LIMITED' }],
    [
      '429 for a day',
      of('/1', (r) => send(r, 429, '', { 'retry-after': '86400' })),
      { code: 'REGISTRY_RATE_LIMITED', details: { retryAfterMs: 86_400_000 } },
    ],
    ['resets for ever', of('/1', (_r, q) => q.destroy() !== undefined), { code: 'REGISTRY_UNAVAILABLE' }],
    ['no answer', of('/1', () => true), { code: 'REGISTRY_TIMEOUT' }],
    [
      'an answer that is no HTTP',
      of('/1', (r) => r.socket?.end('rubbish\r\n\r\n') !== undefined),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'endless headers',
      of('/1', (r) => send(r, 200, '', { x: 'y'.repeat(100_000) })),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'a login page for the manifest',
      of('/1', (r) => send(r, 200, page, html)),
      { code: 'REGISTRY_RESPONSE_INVALID', details: { isHtml: true, title: 'Hotel Wi-Fi' } },
    ],
    [
      'a login page with 404',
      of('/1', (r) => send(r, 404, page, html)),
      { code: 'REGISTRY_RESPONSE_INVALID', details: { isHtml: true } },
    ],
    [
      'a login page for the layer',
      of(LAYER_PATH, (r) => send(r, 200, page, { ...html, 'content-length': String(page.length) })),
      { code: 'REGISTRY_RESPONSE_INVALID', details: { isHtml: true } },
    ],
    ['a manifest that is no JSON', of('/1', (r) => send(r, 200, 'hello')), { code: 'MANIFEST_INVALID' }],
    ['an empty manifest', of('/1', (r) => send(r, 200, '')), { code: 'MANIFEST_INVALID' }],
    [
      'a manifest announced with 9 MiB',
      of('/1', (r) =>
        send(r, 200, Buffer.alloc(9 * 2 ** 20, ' '), { 'content-length': String(9 * 2 ** 20) }),
      ),
      { code: 'MANIFEST_TOO_LARGE', details: { sizeBytes: 9 * 2 ** 20 } },
    ],
    [
      'a manifest of 9 MiB in pieces',
      of('/1', (r) => send(r, 200, Buffer.alloc(9 * 2 ** 20, ' '))),
      { code: 'MANIFEST_TOO_LARGE' },
    ],
    [
      'schema 1',
      manifest(
        { schemaVersion: 1, fsLayers: [] },
        { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' },
      ),
      { code: 'MEDIA_TYPE_UNSUPPORTED' },
    ],
    ['a manifest that is an index, too', manifest({ ...made, manifests: [] }), { code: 'MANIFEST_INVALID' }],
    [
      'another Content-Type than inside',
      manifest(made, { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' }),
      { code: 'MANIFEST_INVALID' },
    ],
    [
      'a wrong Docker-Content-Digest',
      manifest(made, { 'docker-content-digest': layer.digest }),
      { code: 'DIGEST_MISMATCH', details: { expected: layer.digest } },
    ],
    [
      'an encoded manifest',
      manifest(made, { 'content-encoding': 'gzip' }),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'another kind of artifact',
      manifest({ ...made, config: { ...made.config, mediaType: 'application/vnd.example+json' } }),
      { code: 'MEDIA_TYPE_UNSUPPORTED' },
    ],
    [
      'a foreign layer',
      manifest({
        ...made,
        layers: [
          {
            ...made.layers[0],
            mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
            urls: ['https://evil.example/'],
          },
        ],
      }),
      { code: 'LAYER_FOREIGN' },
    ],
    [
      'a layer too many',
      manifest({ ...made, layers: [made.layers[0], made.layers[0]] }),
      { code: 'IMAGE_CONFIG_INVALID' },
    ],
    [
      'a config that is smaller than it says',
      manifest({ ...made, config: { ...made.config, size: made.config.size + 1 } }),
      { code: 'SIZE_MISMATCH' },
    ],
    [
      'a layer that is larger than it says',
      manifest({ ...made, layers: [{ ...made.layers[0], size: 1000 }] }),
      { code: 'SIZE_MISMATCH', details: { expectedBytes: 1000 } },
    ],
    [
      'a layer that never ends',
      of(LAYER_PATH, (r) => r.writeHead(200).write(Buffer.concat([layer.bytes, layer.bytes]))),
      { code: 'SIZE_MISMATCH' },
    ],
    [
      'a layer that is always short',
      of(LAYER_PATH, (r) => send(r, 200, layer.bytes.subarray(0, 10))),
      { code: 'SIZE_MISMATCH' },
    ],
    [
      'other bytes in the layer',
      of(LAYER_PATH, (r) => send(r, 200, otherBytes)),
      { code: 'DIGEST_MISMATCH', details: { expected: layer.digest } },
    ],
    [
      'an encoded layer',
      of(LAYER_PATH, (r) => send(r, 200, layer.bytes, { 'content-encoding': 'gzip' })),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'a layer that is cut for ever',
      of(LAYER_PATH, (r) => cut(r, layer.bytes, 20)),
      { code: 'REGISTRY_UNAVAILABLE' },
    ],
    [
      'a stalled layer for ever',
      of(LAYER_PATH, (r) => r.writeHead(200).write('x')),
      { code: 'REGISTRY_TIMEOUT' },
    ],
    [
      'a layer at 20 bytes per second',
      of(LAYER_PATH, (r) => {
        r.writeHead(200);
        const timer = setInterval(() => r.write('x'), 50);
        r.on('close', () => clearInterval(timer));
        return true;
      }),
      { code: 'REGISTRY_TIMEOUT' },
    ],
    [
      'a manifest at 20 bytes per second',
      of('/1', (r) => {
        r.writeHead(200);
        const timer = setInterval(() => r.write(' '), 50);
        r.on('close', () => clearInterval(timer));
        return true;
      }),
      { code: 'REGISTRY_TIMEOUT' },
    ],
    [
      'the wrong range',
      (seen, _q, r) => {
        if (!seen.path.endsWith(LAYER_PATH)) return false;
        if (seen.repeat === 0) return cut(r, layer.bytes, 700_000);
        return send(r, 206, layer.bytes.subarray(5), {
          'content-range': `bytes 5-${layer.bytes.byteLength - 1}/${layer.bytes.byteLength}`,
        });
      },
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'a range of another size',
      (seen, _q, r) => {
        if (!seen.path.endsWith(LAYER_PATH)) return false;
        if (seen.repeat === 0) return cut(r, layer.bytes, 700_000);
        const offset = /\d+/.exec(seen.range ?? '')?.[0];
        return send(r, 206, 'x', { 'content-range': `bytes ${offset}-${offset}/99` });
      },
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    ['no Location', of('/1', (r) => send(r, 307, '')), { code: 'REDIRECT_REFUSED' }],
    [
      'a redirect to itself',
      of('/1', (r, q) => send(r, 302, '', { location: q.url })),
      { code: 'REDIRECT_REFUSED' },
    ],
    [
      'a redirect to a file',
      of('/1', (r) => send(r, 302, '', { location: 'file:///etc/passwd' })),
      { code: 'REDIRECT_REFUSED' },
    ],
    [
      'a redirect to plain HTTP elsewhere',
      of('/1', (r) => send(r, 302, '', { location: 'http://r.example/x' })),
      { code: 'REDIRECT_REFUSED' },
    ],
    [
      'a redirect to the metadata service',
      of(LAYER_PATH, (r) => send(r, 307, '', { location: 'https://169.254.169.254/latest/' })),
      { code: 'REDIRECT_REFUSED' },
    ],
    [
      'six redirects',
      ({ path }, _q, r) =>
        (path.endsWith('/1') || path.startsWith('/hop')) &&
        send(r, 307, '', { location: `/hop${path.startsWith('/hop') ? `${path.slice(4)}x` : ''}` }),
      { code: 'REDIRECT_REFUSED' },
    ],
  ];
  it.each(rows)('%s', async (_name, intercept, expected) => {
    const registry = await start(intercept);
    const limits = expected.code === 'REGISTRY_TIMEOUT' ? IMPATIENT : {};
    await expect(pullAll(registry, { limits })).rejects.toMatchObject(expected);
    await expectCleanStore();
    // The same store serves the same image once the registry is well again.
    await pullAll(await start());
  });

  it('a config that does not match the platform', async () => {
    const registry = await start(undefined, [imageOf([layer], { architecture: 'arm64' })]);
    await expect(pullAll(registry)).rejects.toMatchObject({
      code: 'PLATFORM_NOT_FOUND',
      details: { offered: ['linux/arm64'] },
    });
  });

  it('a config that is no image config', async () => {
    const config = blobOf({ hello: 'world' });
    const bad = blobOf({
      ...made,
      config: { ...made.config, digest: config.digest, size: config.bytes.byteLength },
    });
    const registry = await start(undefined, [{ ...image, manifest: bad, config }]);
    await expect(pullAll(registry)).rejects.toMatchObject({ code: 'IMAGE_CONFIG_INVALID' });
  });

  it('nobody listens', async () => {
    const registry = await start();
    await registry[Symbol.asyncDispose]();
    started.length = 0;
    await expect(pullAll(registry)).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      details: { reason: 'ECONNREFUSED' },
    });
  });

  it('the host has no name', async () => {
    const pull = pullImage('registry.invalid/test:1', { blobs, env: {}, limits: FAST });
    await expect(pull).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
  });

  it('a slow layer fails the whole pull once another one has failed, and soon', async () => {
    const slow = layerOf({ 'a/slow': noise(100_000, 3) });
    const pair = imageOf([slow, layer]);
    const registry = await start(
      (seen, _q, r) => {
        if (seen.path.includes(slow.digest)) return true;
        return seen.path.endsWith(LAYER_PATH) && send(r, 404, '');
      },
      [pair],
    );
    const begun = performance.now();
    await using pulled = await pullImage(`${registry.host}/test:1`, {
      blobs,
      env: {},
      limits: { ...FAST, headerTimeoutMs: 600_000 },
    });
    for (const each of pulled.layers) await expect(each.done).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    await expect(pulled.layers[0]?.open()).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    await expect(pulled.layers[0]?.available(0)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    expect(performance.now() - begun).toBeLessThan(120_000);
  });
});

describe('cancelling', () => {
  it.each(['/1', LAYER_PATH])('rejects with the reason while %s is waited for', async (path) => {
    const registry = await start((seen) => seen.path.endsWith(path));
    const cancelled = async (): Promise<number> => {
      const controller = new AbortController();
      const reason = new Error('enough');
      let abortedAt = 0;
      setTimeout(() => {
        abortedAt = performance.now();
        controller.abort(reason);
      }, 150);
      const limits = { headerTimeoutMs: 60_000 };
      await expect(pullAll(registry, { signal: controller.signal, limits })).rejects.toBe(reason);
      return performance.now() - abortedAt;
    };
    expect(await quickest(2000, cancelled)).toBeLessThan(2000);
    await pullAll(await start());
  });

  it('does nothing when aborted before it starts', async () => {
    const registry = await start();
    const signal = AbortSignal.abort(new Error('early'));
    await expect(pullAll(registry, { signal })).rejects.toThrow('early');
    expect(registry.seen).toHaveLength(0);
  });

  it('disposing ends what is under way', async () => {
    const registry = await start((seen) => seen.path.endsWith(LAYER_PATH));
    const pulled = await pullImage(`${registry.host}/test:1`, { blobs, env: {} });
    const failed = expect(pulled.done).rejects.toSatisfy(HearthError.is);
    await pulled[Symbol.asyncDispose]();
    await failed;
    expect(await blobs.gc({ timeoutMs: 0 })).toBeDefined();
  });
});
