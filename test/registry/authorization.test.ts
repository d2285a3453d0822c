/** Logging in: token servers and passwords, and where credentials never go. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type LocalBlobStore, openBlobStore } from '../../src/blobs/index.js';
import { type PullOptions, pullImage, resolveReference } from '../../src/registry/index.js';
import { REGISTRY_LOGIN, startRegistry, type TestRegistry } from '../support/registry.js';
import { type FakeRegistry, type Intercept, json, startFakeRegistry } from '../support/registry-fake.js';
import { imageOf, indexOf, layerOf, noise, pushImages } from '../support/registry-images.js';

const layer = layerOf({ 'data/noise': noise(300_000) });
const image = imageOf([layer]);
const arm64 = imageOf([layerOf({ a: 'arm' })], { architecture: 'arm64' });
const FAST = { retryBaseMs: 1, maxAttempts: 3, maxTransferAttempts: 3, headerTimeoutMs: 30_000 } as const;
const SECRET = 'hunter2';

let directory: string;
let blobs: LocalBlobStore;
const started: AsyncDisposable[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-auth-'));
  blobs = await openBlobStore(join(directory, 'blobs'));
});
afterEach(async () => {
  for (const each of started.splice(0)) await each[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function start(intercept: Intercept, images = [image]): Promise<FakeRegistry> {
  const registry = await startFakeRegistry({ images, intercept });
  started.push(registry);
  return registry;
}

async function pullAll(host: string, options: Partial<PullOptions> = {}): Promise<string> {
  const limits = { ...FAST, ...options.limits };
  await using pulled = await pullImage(`${host}/test:1`, { blobs, env: {}, ...options, limits });
  await pulled.done;
  return pulled.manifestDigest;
}

/** Fails, and nothing that is shown contains the secret. */
async function expectRefusal(pull: Promise<unknown>, expected: object): Promise<void> {
  const error = await pull.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject(expected);
  const shown = `${error} ${JSON.stringify(error)}`;
  expect(shown).not.toContain(SECRET);
  expect(shown).not.toContain(Buffer.from(`me:${SECRET}`).toString('base64'));
}

const challenge = (response: ServerResponse, realm: string, scope = 'repository:test:pull'): true => {
  const value = `Bearer realm="${realm}",service="tests",scope="${scope}"`;
  response.writeHead(401, { 'www-authenticate': value }).end();
  return true;
};

/** A registry that wants tokens from its own /token, where `tokens` names the valid ones. */
function withTokens(
  tokens: Set<string>,
  give: (response: ServerResponse, path: string, authorization?: string) => void,
): Intercept {
  return ({ path, authorization }, request, response) => {
    if (path.startsWith('/token')) {
      give(response, path, authorization);
      return true;
    }
    const [scheme, token] = authorization?.split(' ') ?? [];
    if (scheme === 'Bearer' && tokens.has(token ?? '')) return false;
    return challenge(response, `http://${request.headers.host}/token`);
  };
}

describe('token servers', () => {
  it('PY-30, PY-31, PY-32, PY-33, PY-34, PY-35: a token is fetched and used for tag and child, in that order', async () => {
    const registry = await start(
      withTokens(new Set(['abc']), (response) => json(response, 200, { token: 'abc' })),
      [arm64, image],
    );
    const chosen = await resolveReference(`${registry.host}/test:1`, { env: {} });
    expect(chosen).toMatchObject({
      indexDigest: indexOf([arm64, image]).digest,
      manifestDigest: image.manifest.digest,
      platform: { os: 'linux', architecture: 'amd64' },
    });
    expect(registry.seen.map(({ path, authorization }) => [path, authorization])).toEqual([
      ['/v2/test/manifests/1', undefined],
      ['/token?service=tests&scope=repository%3Atest%3Apull', undefined],
      ['/v2/test/manifests/1', 'Bearer abc'],
      [`/v2/test/manifests/${image.manifest.digest}`, 'Bearer abc'],
    ]);
  });

  it('PY-36: the body is hashed even when Docker-Content-Digest is right', async () => {
    const registry = await start(
      ({ path }, _request, response) => {
        if (!path.endsWith(image.manifest.digest)) return false;
        response.writeHead(200, { 'docker-content-digest': image.manifest.digest });
        response.end(arm64.manifest.bytes);
        return true;
      },
      [arm64, image],
    );
    await expect(pullAll(registry.host)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      details: { expected: image.manifest.digest, actual: arm64.manifest.digest },
    });
  });

  it('PY-37: no token is asked for where none is needed', async () => {
    const registry = await start(() => false);
    await pullAll(registry.host);
    expect(registry.count('/token')).toBe(0);
    expect(registry.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it('PY-43: all HTTP goes through an injected dispatcher', async () => {
    const registry = await start(() => false);
    const asked: string[] = [];
    class Recorder extends Agent {
      override dispatch(...[options, handler]: Parameters<Agent['dispatch']>): boolean {
        asked.push(`${options.origin}${options.path}`);
        return super.dispatch({ ...options, origin: registry.origin }, handler);
      }
    }
    await using dispatcher = { agent: new Recorder(), [Symbol.asyncDispose]: () => dispatcher.agent.close() };
    await pullAll('r.example', { dispatcher: dispatcher.agent });
    expect(asked[0]).toBe('https://r.example/v2/test/manifests/1');
    expect(asked).toHaveLength(registry.seen.length);
  });

  it('access_token is as good as token, and a token that runs out during a pull is renewed', async () => {
    const tokens = new Set<string>();
    let count = 0;
    const intercept = withTokens(tokens, (response) => {
      count += 1;
      tokens.clear();
      tokens.add(`t${count}`);
      json(response, 200, { access_token: `t${count}`, expires_in: 3600 });
    });
    const registry = await start(async (seen, request, response) => {
      // Whatever has been given out is worth nothing any more when the layer is asked for.
      if (seen.path.includes(layer.digest) && seen.repeat === 0) tokens.clear();
      return intercept(seen, request, response);
    });
    await pullAll(registry.host);
    expect(count).toBe(2);
  });

  it('a token that runs out while the body is on its way is renewed for the rest', async () => {
    const tokens = new Set<string>();
    let count = 0;
    const intercept = withTokens(tokens, (response) => {
      tokens.add(`t${count}`);
      json(response, 200, { token: `t${count}` });
      count += 1;
    });
    const registry = await start(async (seen, request, response) => {
      const isCut =
        seen.path.includes(layer.digest) && seen.range === undefined && tokens.has(`t${count - 1}`);
      if (!isCut) return intercept(seen, request, response);
      tokens.clear();
      response.writeHead(200, { 'content-length': layer.bytes.byteLength });
      response.write(layer.bytes.subarray(0, 200_000), () => setTimeout(() => response.destroy(), 30));
      return true;
    });
    await pullAll(registry.host);
    expect(count).toBe(2);
  });

  it('a token of a few seconds is renewed before it runs out', async () => {
    const tokens = new Set(['abc']);
    const registry = await start(
      withTokens(tokens, (response) => json(response, 200, { token: 'abc', expires_in: 0.001 })),
    );
    await pullAll(registry.host);
    expect(registry.count('/token')).toBeGreaterThan(1);
  });

  it.each<[name: string, give: (response: ServerResponse) => void, expected: object]>([
    ['401', (r) => r.writeHead(401).end(), { code: 'REGISTRY_UNAUTHORIZED' }],
    ['403', (r) => r.writeHead(403).end(), { code: 'REGISTRY_UNAUTHORIZED' }],
    ['500', (r) => r.writeHead(500).end(), { code: 'REGISTRY_UNAVAILABLE' }],
    ['429', (r) => r.writeHead(429).end(), { code: 'REGISTRY_RATE_LIMITED' }],
    ['404', (r) => r.writeHead(404).end(), { code: 'REGISTRY_RESPONSE_INVALID' }],
    [
      'a redirect',
      (r) => r.writeHead(302, { location: 'https://evil.example/' }).end(),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'a page',
      (r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      { code: 'REGISTRY_RESPONSE_INVALID', details: { isHtml: true } },
    ],
    ['no JSON', (r) => r.end('abc'), { code: 'REGISTRY_RESPONSE_INVALID' }],
    ['an array', (r) => json(r, 200, []), { code: 'REGISTRY_RESPONSE_INVALID' }],
    ['null', (r) => json(r, 200, null), { code: 'REGISTRY_RESPONSE_INVALID' }],
    ['no token', (r) => json(r, 200, {}), { code: 'REGISTRY_RESPONSE_INVALID' }],
    ['a token that is a number', (r) => json(r, 200, { token: 7 }), { code: 'REGISTRY_RESPONSE_INVALID' }],
    [
      'a token with a line break',
      (r) => json(r, 200, { token: 'a\r\nx: y' }),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'a token of 2 MiB',
      (r) => json(r, 200, { token: 'a'.repeat(2 ** 21) }),
      { code: 'REGISTRY_RESPONSE_INVALID' },
    ],
    [
      'a token that is not accepted',
      (r) => json(r, 200, { token: 'wrong' }),
      { code: 'REGISTRY_UNAUTHORIZED' },
    ],
  ])('a token server that gives %s', async (_name, give, expected) => {
    const registry = await start(withTokens(new Set(['right']), give));
    await expectRefusal(pullAll(registry.host), expected);
    expect(registry.count('/token')).toBeLessThanOrEqual(3);
  });

  it.each([
    'ftp://r.example/token',
    'http://me:hunter2@127.0.0.1/token',
    'http://169.254.169.254/latest/meta-data',
    'http://10.0.0.1/token',
    'http://[::1]:1/token',
    'http://auth.example/token',
    '/token',
    '',
  ])('a realm %j is not asked', async (realm) => {
    const registry = await start((_seen, _request, response) => challenge(response, realm));
    await expectRefusal(pullAll(registry.host), { code: 'REGISTRY_REALM_REFUSED' });
    expect(registry.seen).toHaveLength(1);
  });
});

describe('credentials', () => {
  const auth = { kind: 'password', username: 'me', password: SECRET } as const;
  const basic = `Basic ${Buffer.from(`me:${SECRET}`).toString('base64')}`;

  it('go to the token server, not to the registry', async () => {
    const registry = await start(
      withTokens(new Set(['abc']), (response, path, authorization) => {
        const isRight = authorization === basic && path.includes('account=me');
        json(response, isRight ? 200 : 401, isRight ? { token: 'abc' } : {});
      }),
    );
    await pullAll(registry.host, { auth });
    const others = registry.seen.filter(({ path }) => !path.startsWith('/token'));
    expect(
      others.every(({ authorization }) => authorization === undefined || authorization === 'Bearer abc'),
    ).toBe(true);
  });

  it('that are refresh tokens are exchanged by POST', async () => {
    let form = '';
    const registry = await start(async (seen, request, response) => {
      if (!seen.path.startsWith('/token')) {
        if (seen.authorization === 'Bearer abc') return false;
        return challenge(response, `http://${request.headers.host}/token`);
      }
      for await (const chunk of request) form += chunk;
      json(response, seen.method === 'POST' ? 200 : 400, { access_token: 'abc' });
      return true;
    });
    await pullAll(registry.host, { auth: { kind: 'identityToken', token: SECRET } });
    expect(Object.fromEntries(new URLSearchParams(form))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'hearth',
      service: 'tests',
      scope: 'repository:test:pull',
      refresh_token: SECRET,
    });
    expect(registry.seen.some(({ path }) => path.includes(SECRET))).toBe(false);
  });

  it('that are ready tokens are used as they are', async () => {
    const registry = await start(withTokens(new Set(['ready']), (response) => response.writeHead(500).end()));
    await pullAll(registry.host, { auth: { kind: 'registryToken', token: 'ready' } });
    expect(registry.count('/token')).toBe(0);
  });

  it('that are wrong are refused in one round', async () => {
    const byToken = await start(withTokens(new Set(), (response) => response.writeHead(401).end()));
    await expectRefusal(pullAll(byToken.host, { auth }), { code: 'REGISTRY_UNAUTHORIZED' });
    expect(byToken.seen).toHaveLength(2);
    const byPassword = await start((_seen, _request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      return true;
    });
    await expectRefusal(pullAll(byPassword.host, { auth }), { code: 'REGISTRY_UNAUTHORIZED' });
    expect(byPassword.seen.length).toBeLessThanOrEqual(3);
  });

  it('do not follow a redirect to another origin (CVE-2020-15157)', async () => {
    const storage = await start(({ authorization }, _request, response) => {
      if (authorization === undefined) return false;
      response.writeHead(400).end();
      return true;
    });
    const registry = await start(({ path, authorization }, _request, response) => {
      if (authorization !== basic) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
        return true;
      }
      if (!path.includes('/blobs/')) return false;
      response.writeHead(307, { location: `${storage.origin}${path}?signature=${SECRET}` }).end();
      return true;
    });
    await pullAll(registry.host, { auth });
    expect(storage.seen.length).toBeGreaterThan(0);
    expect(storage.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it.each(['Basic', 'Bearer'])('are not sent because storage asks for them by %s', async (scheme) => {
    const storage = await start((_seen, request, response) => {
      const realm = `http://${request.headers.host}/token`;
      response.writeHead(401, { 'www-authenticate': `${scheme} realm="${realm}"` }).end();
      return true;
    });
    const registry = await start(({ path }, _request, response) => {
      if (!path.includes(layer.digest)) return false;
      response.writeHead(307, { location: `${storage.origin}${path}?signature=${SECRET}` }).end();
      return true;
    });
    await expectRefusal(pullAll(registry.host, { auth }), { code: 'REGISTRY_UNAUTHORIZED' });
    const all = [...storage.seen, ...registry.seen];
    expect(all.every(({ authorization }) => authorization === undefined)).toBe(true);
    expect(storage.count('/token')).toBe(0);
  });

  it('a signed link that has run out is asked for again', async () => {
    let links = 0;
    const storage = await start(({ path }, _request, response) => {
      if (path.includes('link=2')) {
        response.end(layer.bytes);
        return true;
      }
      response.writeHead(403).end('<Error>Request has expired</Error>');
      return true;
    });
    const registry = await start(({ path }, _request, response) => {
      if (!path.includes(layer.digest)) return false;
      links += 1;
      response.writeHead(307, { location: `${storage.origin}/x?link=${links}` }).end();
      return true;
    });
    await pullAll(registry.host);
    expect(links).toBe(2);
  });

  it('do not go to a mirror', async () => {
    const wants: Intercept = ({ authorization }, _request, response) => {
      if (authorization === basic) return false;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      return true;
    };
    const mirror = await start(wants);
    const registry = await start(wants);
    await pullAll(registry.host, { auth, mirrors: { [registry.host]: [mirror.host] } });
    expect(mirror.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    expect(registry.count('/blobs/')).toBeGreaterThan(0);
  });
});

describe('a real registry with a password', () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startRegistry({ auth: true });
    await pushImages(registry, 'test', '1', [image]);
  });
  afterAll(() => registry?.stop());

  it('lets nobody in without one, or with a wrong one', async () => {
    await expectRefusal(pullAll(registry.host), { code: 'REGISTRY_UNAUTHORIZED' });
    const auth = { kind: 'password', username: REGISTRY_LOGIN.username, password: SECRET } as const;
    await expectRefusal(pullAll(registry.host, { auth }), { code: 'REGISTRY_UNAUTHORIZED' });
  });

  it('takes what docker login has written', async () => {
    const encoded = Buffer.from(`${REGISTRY_LOGIN.username}:${REGISTRY_LOGIN.password}`).toString('base64');
    await writeFile(
      join(directory, 'config.json'),
      JSON.stringify({ auths: { [registry.host]: { auth: encoded } } }),
    );
    expect(await pullAll(registry.host, { env: { DOCKER_CONFIG: directory } })).toBe(image.manifest.digest);
  });

  it('takes what a credential helper says', async () => {
    const helper = join(directory, 'docker-credential-tests');
    const answer = JSON.stringify({ Username: REGISTRY_LOGIN.username, Secret: REGISTRY_LOGIN.password });
    await writeFile(helper, `#!/bin/sh\n[ "$(cat)" = "${registry.host}" ] && printf '%s' '${answer}'\n`);
    await chmod(helper, 0o755);
    await writeFile(
      join(directory, 'config.json'),
      JSON.stringify({ credHelpers: { [registry.host]: 'tests' } }),
    );
    const env = { DOCKER_CONFIG: directory, PATH: `${directory}:${process.env.PATH}` };
    expect(await pullAll(registry.host, { env })).toBe(image.manifest.digest);
  });
});
