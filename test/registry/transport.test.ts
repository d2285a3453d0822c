/** The way to the registry: TLS, proxies, mirrors, plain HTTP. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { Agent } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type LocalBlobStore, openBlobStore } from '../../src/blobs/index.js';
import { type PullOptions, pullImage } from '../../src/registry/index.js';
import { buildRootfs } from '../../src/rootfs/index.js';
import {
  type FakeRegistry,
  type FakeRegistryOptions,
  type Intercept,
  startFakeRegistry,
} from '../support/registry-fake.js';
import { imageOf, layerOf, noise } from '../support/registry-images.js';

const image = imageOf([layerOf({ 'data/noise': noise(200_000) })]);
const FAST = {
  retryBaseMs: 1,
  maxAttempts: 2,
  maxTransferAttempts: 2,
  connectTimeoutMs: 2000,
  headerTimeoutMs: 2000,
} as const;

let certificates: string;
let tls: { key: string; cert: string };
let directory: string;
let blobs: LocalBlobStore;
const started: AsyncDisposable[] = [];

beforeAll(async () => {
  certificates = await mkdtemp(join(tmpdir(), 'hearth-tls-'));
  const run = spawnSync(
    'openssl',
    [
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=r.example'.split(
        ' ',
      ),
      ...'-addext subjectAltName=DNS:r.example,IP:127.0.0.1 -keyout key.pem -out cert.pem'.split(' '),
    ],
    { cwd: certificates, encoding: 'utf8' },
  );
  if (run.status !== 0) throw new Error(`openssl failed: ${run.error?.message ?? run.stderr}`);
  const read = (name: string) => readFile(join(certificates, name), 'utf8');
  tls = { key: await read('key.pem'), cert: await read('cert.pem') };
});
afterAll(() => rm(certificates, { recursive: true, force: true }));
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-transport-'));
  blobs = await openBlobStore(join(directory, 'blobs'));
});
afterEach(async () => {
  for (const each of started.splice(0)) await each[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await startFakeRegistry({ images: [image], ...options });
  started.push(registry);
  return registry;
}

async function pullAll(host: string, options: Partial<PullOptions> = {}): Promise<void> {
  const limits = { ...FAST, ...options.limits };
  await using pulled = await pullImage(`${host}/test:1`, { blobs, env: {}, ...options, limits });
  await pulled.done;
}

/** Finds every host on this machine, as a registry of that name would be found in the network. */
function everywhereHere(): { dispatcher: Agent } {
  const dispatcher = new Agent({
    connect: { lookup: (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]) },
  });
  started.push({ [Symbol.asyncDispose]: () => dispatcher.destroy() });
  return { dispatcher };
}

describe('TLS', () => {
  const certificate = (): string => join(certificates, 'cert.pem');
  it.each<[name: string, options: () => Partial<PullOptions>]>([
    ['caFile', () => ({ caFile: certificate() })],
    ['SSL_CERT_FILE', () => ({ env: { SSL_CERT_FILE: certificate() } })],
    [
      'NODE_EXTRA_CA_CERTS beside another file',
      () => ({
        env: { SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt', NODE_EXTRA_CA_CERTS: certificate() },
      }),
    ],
  ])("a certificate of one's own is trusted by %s", async (_name, options) => {
    const registry = await start({ tls });
    await pullAll(registry.host, options());
    expect(registry.seen.length).toBeGreaterThan(0);
  });

  it('a certificate that nobody vouches for is refused, without a second try', async () => {
    const registry = await start({ tls });
    await expect(pullAll(registry.host)).rejects.toMatchObject({ code: 'REGISTRY_TLS_INVALID' });
    expect(registry.seen).toHaveLength(0);
  });

  it('a certificate for another name is refused', async () => {
    const registry = await start({ tls });
    const host = `localhost:${registry.port}`;
    await expect(pullAll(host, { caFile: certificate() })).rejects.toMatchObject({
      code: 'REGISTRY_TLS_INVALID',
      details: { reason: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
  });

  it('a host that may be insecure needs no good certificate', async () => {
    const registry = await start({ tls });
    await pullAll(registry.host, { insecure: [registry.host] });
  });

  it('a file without certificates and one that is missing are named', async () => {
    const registry = await start({ tls });
    await writeFile(join(directory, 'empty.pem'), '');
    await expect(pullAll(registry.host, { caFile: join(directory, 'empty.pem') })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    await expect(pullAll(registry.host, { caFile: join(directory, 'none.pem') })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });
});

describe('plain HTTP', () => {
  it('is refused on another machine, and the way to allow it is named', async () => {
    const registry = await start();
    const host = `r.example:${registry.port}`;
    await expect(pullAll(host, everywhereHere())).rejects.toMatchObject({
      code: 'REGISTRY_INSECURE',
      hint: expect.stringContaining(`--insecure ${host}`),
    });
    expect(registry.seen).toHaveLength(0);
  });

  it.each(['r.example', 'host and port'])('is used where %s may be insecure', async (which) => {
    const registry = await start();
    const host = `r.example:${registry.port}`;
    await pullAll(host, { ...everywhereHere(), insecure: [which === 'r.example' ? which : host] });
    expect(registry.seen.length).toBeGreaterThan(0);
  });

  it('is not gone back to once the registry has spoken HTTPS', async () => {
    const registry = await start({
      intercept: ({ path }, _request, response) => {
        if (!path.includes('/blobs/')) return false;
        response.writeHead(307, { location: `http://127.0.0.1:1${path}` }).end();
        return true;
      },
      tls,
    });
    await expect(pullAll(registry.host, { insecure: [registry.host] })).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
    });
  });
});

describe('mirrors', () => {
  it('are asked first, with their path, and bring all there is', async () => {
    const mirror = await start();
    const registry = await start();
    await pullAll(registry.host, { mirrors: { [registry.host]: [`http://${mirror.host}/cache/hub`] } });
    expect(registry.seen).toHaveLength(0);
    expect(mirror.seen.every(({ path }) => path.startsWith('/cache/hub/v2/test/'))).toBe(true);
  });

  it.each<[name: string, status: number]>([
    ['does not have it', 404],
    ['fails', 503],
    ['wants a login', 401],
    ['makes no sense', 200],
  ])('are passed over when the first one %s', async (_name, status) => {
    const mirror = await start({
      intercept: (_seen, _request, response) => {
        response.writeHead(status).end('rubbish');
        return true;
      },
    });
    const registry = await start();
    await pullAll(registry.host, { mirrors: { [registry.host]: [mirror.host] } });
    expect(mirror.seen.length).toBeGreaterThan(0);
    expect(registry.seen.length).toBeGreaterThan(0);
  });

  it('that nobody answers at are passed over', async () => {
    const mirror = await startFakeRegistry();
    await mirror[Symbol.asyncDispose]();
    const registry = await start();
    await pullAll(registry.host, { mirrors: { [registry.host]: [mirror.host] } });
  });

  it('that break off in a layer are helped out by the registry, from where they stopped', async () => {
    const [layer] = image.layers;
    const bytes = layer?.bytes ?? Buffer.alloc(0);
    const mirror = await start({
      intercept: ({ path, repeat }, _request, response) => {
        if (!path.includes(layer?.digest ?? '')) return false;
        if (repeat > 0) response.writeHead(503).end();
        else {
          response.writeHead(200, { 'content-length': bytes.byteLength });
          response.write(bytes.subarray(0, 150_000), () => setTimeout(() => response.destroy(), 30));
        }
        return true;
      },
    });
    const registry = await start();
    await pullAll(registry.host, { mirrors: { [registry.host]: [mirror.host] } });
    expect(registry.seen.map(({ range }) => range)).toEqual([expect.stringMatching(/^bytes=\d+-$/)]);
  });
});

/** Sends `bytes` in two parts, so that the first can be read before the last has come. */
function slowly(response: ServerResponse, bytes: Buffer): true {
  response.writeHead(200, { 'content-length': bytes.byteLength });
  response.write(bytes.subarray(0, bytes.byteLength / 2), () =>
    setTimeout(() => response.end(bytes.subarray(bytes.byteLength / 2)), 300),
  );
  return true;
}

describe('a mirror that sends other bytes for a layer that is read already', () => {
  const upper = layerOf({ 'etc/upper': 'upper' });
  const lower = layerOf({ 'data/noise': noise(300_000, 5) });
  const other = layerOf({ 'data/noise': noise(300_000, 6) });
  const flipped = Buffer.from(lower.bytes).fill(0, 150_000, 150_010);
  const wanted = imageOf([lower, upper]);

  it.each([
    ['damaged from the middle on', flipped],
    ['another layer', Buffer.concat([other.bytes, lower.bytes]).subarray(0, lower.bytes.byteLength)],
  ])('costs time and nothing else: %s', async (_what, bytes) => {
    const mirror = await start({
      images: [wanted],
      intercept: ({ path }, _request, response) => path.includes(lower.digest) && slowly(response, bytes),
    });
    const registry = await start({ images: [wanted] });
    const mirrors = { [registry.host]: [mirror.host] };
    const reference = `${registry.host}/test:1`;
    await using pulled = await pullImage(reference, { blobs, env: {}, limits: FAST, mirrors });
    const outputPath = join(directory, 'rootfs.ext4');
    const { digest } = await buildRootfs(pulled, { outputPath, digest: true });
    await pulled.done;
    expect(pulled.layers.map(({ replacements }) => replacements)).toEqual([1, 0]);
    expect(registry.seen.map(({ path }) => path)).toEqual([`/v2/test/blobs/${lower.digest}`]);
    // As from the registry alone.
    await using again = await pullImage(reference, { blobs, env: {}, limits: FAST });
    expect((await buildRootfs(again, { outputPath, digest: true })).digest).toBe(digest);
    expect((await readdir(directory)).sort()).toEqual(['blobs', 'rootfs.ext4']);
  });

  it('still fails when the registry sends them as well', async () => {
    const intercept: Intercept = ({ path }, _request, response) =>
      path.includes(lower.digest) && slowly(response, flipped);
    const mirror = await start({ images: [wanted], intercept });
    const registry = await start({ images: [wanted], intercept });
    const mirrors = { [registry.host]: [mirror.host] };
    const pulled = await pullImage(`${registry.host}/test:1`, { blobs, env: {}, limits: FAST, mirrors });
    const building = buildRootfs(pulled, { outputPath: join(directory, 'rootfs.ext4') });
    await expect(building).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await pulled[Symbol.asyncDispose]();
    expect(await readdir(directory)).toEqual(['blobs']);
  });
});

interface TestProxy extends AsyncDisposable {
  readonly url: string;
  readonly seen: string[];
}

/** Leads every request and tunnel to this machine, to the same port; wants `me:pass word` if asked to. */
async function startProxy(options: { readonly wantsPassword?: boolean } = {}): Promise<TestProxy> {
  const seen: string[] = [];
  const wanted = `Basic ${Buffer.from('me:pass word').toString('base64')}`;
  const isAllowed = (request: IncomingMessage): boolean =>
    options.wantsPassword !== true || request.headers['proxy-authorization'] === wanted;
  const server: Server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (!isAllowed(request)) return void response.writeHead(407).end();
    const url = new URL(request.url ?? '');
    const upstream = httpRequest({
      host: '127.0.0.1',
      port: url.port,
      path: url.pathname,
      headers: request.headers,
    });
    upstream.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    return void upstream.end();
  });
  server.on('connect', (request: IncomingMessage, client: Duplex) => {
    seen.push(`CONNECT ${request.url}`);
    client.on('error', () => client.destroy());
    if (!isAllowed(request)) return client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const target = connect(Number(request.url?.split(':').at(-1)), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      target.pipe(client).pipe(target);
    });
    target.on('error', () => client.destroy());
    return client;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  started.push(proxy);
  return proxy;
}

describe('proxies', () => {
  it('are tunnelled through for HTTPS', async () => {
    const registry = await start({ tls });
    const proxy = await startProxy();
    const env = { HTTPS_PROXY: proxy.url };
    await pullAll(`r.example:${registry.port}`, { env, caFile: join(certificates, 'cert.pem') });
    expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT r.example:${registry.port}`]));
  });

  it('are asked for plain HTTP', async () => {
    const registry = await start();
    const proxy = await startProxy();
    const host = `r.example:${registry.port}`;
    await pullAll(host, { env: { http_proxy: proxy.url, https_proxy: proxy.url }, insecure: [host] });
    expect(proxy.seen).toContain(`GET http://${host}/v2/test/manifests/1`);
  });

  it('get the password of their URL, and its absence is named', async () => {
    const registry = await start({ tls });
    const proxy = await startProxy({ wantsPassword: true });
    const caFile = join(certificates, 'cert.pem');
    const host = `r.example:${registry.port}`;
    const withPassword = proxy.url.replace('http://', 'http://me:pass%20word@');
    await pullAll(host, { env: { HTTPS_PROXY: withPassword }, caFile });
    await rm(join(directory, 'blobs'), { recursive: true });
    blobs = await openBlobStore(join(directory, 'blobs'));
    await expect(pullAll(host, { env: { HTTPS_PROXY: proxy.url }, caFile })).rejects.toMatchObject({
      code: 'REGISTRY_DENIED',
      hint: expect.stringContaining('HTTPS_PROXY'),
    });
  });

  it('are left out for this machine and for NO_PROXY', async () => {
    const registry = await start();
    const proxy = await startProxy();
    await pullAll(registry.host, { env: { http_proxy: proxy.url, https_proxy: proxy.url } });
    const excepted = { https_proxy: proxy.url, no_proxy: 'r.invalid' };
    await expect(pullAll(`r.invalid:${registry.port}`, { env: excepted })).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
    });
    expect(proxy.seen).toEqual([]);
  });

  it('that are down are named as unavailable', async () => {
    const proxy = await startProxy();
    await proxy[Symbol.asyncDispose]();
    started.splice(0);
    const env = { HTTPS_PROXY: proxy.url };
    await expect(pullAll('r.example', { env })).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
  });
});
