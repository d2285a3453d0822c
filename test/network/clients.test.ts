/** The programs people run in a sandbox, through the egress proxy, told of it by the usual variables only. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { proxyEnvironment } from '../../src/network/index.js';
import { FILE_BYTES, ORIGIN_HOST, type Origin, startOrigin } from './origin.js';
import { isLast, type ProxyFixture, startProxy } from './support.js';

const run = promisify(execFile);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let directory: string;
let home: string;
let origin: Origin;
let proxy: ProxyFixture;
let httpUrl: string;
let httpsUrl: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-origin-'));
  origin = await startOrigin(directory);
  httpUrl = `http://${ORIGIN_HOST}:${origin.http.port}`;
  httpsUrl = `https://${ORIGIN_HOST}:${origin.https.port}`;
});
afterAll(async () => {
  await origin.close();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hearth-client-'));
  proxy = await startProxy({
    policy: {
      mode: 'allow-list',
      hosts: [origin.http.port, origin.https.port].map((port) => `${ORIGIN_HOST}:${port}=127.0.0.1`),
    },
  });
});
afterEach(async () => {
  await proxy.close();
  await rm(home, { recursive: true, force: true });
});

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program as the guest would: the proxy's variables, a home of its own, nothing else. */
async function inGuest(
  program: string,
  args: readonly string[],
  more: Record<string, string> = {},
): Promise<Result> {
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    ...proxyEnvironment(proxy.port),
    ...more,
  };
  try {
    const { stdout, stderr } = await run(program, [...args], { env, cwd: home, timeout: 120_000 });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout, stderr };
  }
}

const expectSuccess = (result: Result) => expect(result, result.stderr).toMatchObject({ code: 0 });

/** Every connection so far was allowed and is over. */
async function expectAllAllowed(kind: 'http' | 'connect'): Promise<void> {
  const ids = new Set(proxy.events.map(({ id }) => id));
  for (const id of ids) await proxy.event((event) => event.id === id && isLast(event));
  expect(ids.size).toBeGreaterThan(0);
  expect(new Set(proxy.events.map((event) => `${event.kind} ${event.decision}`))).toEqual(
    new Set([`${kind} allowed`]),
  );
}

describe('curl', () => {
  it.each(['http', 'https'] as const)(
    'downloads, uploads and goes on over one connection: %s',
    async (scheme) => {
      const url = scheme === 'http' ? httpUrl : httpsUrl;
      const upload = join(home, 'upload');
      await writeFile(upload, FILE_BYTES);
      const trust = ['--silent', '--show-error', '--cacert', origin.caPath];
      const download = await inGuest('curl', [
        ...trust,
        '-o',
        'one',
        `${url}/file`,
        '-o',
        'two',
        `${url}/file`,
      ]);
      expectSuccess(download);
      for (const name of ['one', 'two'])
        expect(sha256(await readFile(join(home, name)))).toBe(sha256(FILE_BYTES));
      for (const more of [[], ['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect: 100-continue']]) {
        const sent = await inGuest('curl', [...trust, '-T', upload, ...more, `${url}/upload`]);
        expect(sent.stdout).toBe(`PUT ${sha256(FILE_BYTES)}\n`);
      }
      await expectAllAllowed(scheme === 'http' ? 'http' : 'connect');
    },
  );

  it('shows the way out when a host is refused', async () => {
    const plain = await inGuest('curl', ['--silent', '-i', 'http://other.test/']);
    expect(plain.stdout).toMatch(/403 Forbidden by hearth[\s\S]*--allow-host other\.test\n$/);
    const tls = await inGuest('curl', ['--silent', '--verbose', 'https://other.test/']);
    expect(tls.code).toBe(56);
    expect(tls.stderr).toContain('allow with --allow-host other.test');
  });
});

it('wget downloads', async () => {
  expectSuccess(await inGuest('wget', ['-q', '-O', 'one', `${httpUrl}/file`]));
  expectSuccess(
    await inGuest('wget', ['-q', `--ca-certificate=${origin.caPath}`, '-O', 'two', `${httpsUrl}/file`]),
  );
  for (const name of ['one', 'two'])
    expect(sha256(await readFile(join(home, name)))).toBe(sha256(FILE_BYTES));
});

describe('git', () => {
  it.each(['http', 'https'] as const)('clones, fetches and pushes: %s', async (scheme) => {
    const url = scheme === 'http' ? httpUrl : httpsUrl;
    const env = { GIT_SSL_CAINFO: origin.caPath };
    const identity = ['-c', 'user.name=t', '-c', 'user.email=t@t.test'];
    expectSuccess(await inGuest('git', ['clone', '-q', `${url}/git/probe.git`, 'copy'], env));
    expect(await readFile(join(home, 'copy', 'hello.txt'), 'utf8')).toBe('hello from git\n');
    await writeFile(join(home, 'copy', `new-${scheme}`), FILE_BYTES);
    expectSuccess(await inGuest('git', ['-C', 'copy', 'add', '.'], env));
    expectSuccess(await inGuest('git', ['-C', 'copy', ...identity, 'commit', '-q', '-m', 'more'], env));
    // Small enough a buffer that git sends its pack in chunks.
    expectSuccess(await inGuest('git', ['-C', 'copy', '-c', 'http.postBuffer=100', 'push', '-q'], env));
    expectSuccess(await inGuest('git', ['-C', 'copy', 'fetch', '-q', '--all'], env));
    await expectAllAllowed(scheme === 'http' ? 'http' : 'connect');
  });

  it('says that the proxy refused', async () => {
    const refused = await inGuest('git', ['clone', 'https://github.test/x.git']);
    expect(refused.code).toBe(128);
    expect(refused.stderr).toMatch(/403/);
    expect(proxy.events).toMatchObject([{ host: 'github.test', port: 443, decision: 'denied' }]);
  });
});

describe('pip', () => {
  it.each(['http', 'https'] as const)('downloads a wheel: %s', async (scheme) => {
    const url = scheme === 'http' ? httpUrl : httpsUrl;
    const result = await inGuest(
      'python3',
      [
        ...[
          '-m',
          'pip',
          '--isolated',
          '--disable-pip-version-check',
          'download',
          '--no-cache-dir',
          '--no-deps',
        ],
        ...[
          '--index-url',
          `${url}/simple`,
          '--trusted-host',
          ORIGIN_HOST,
          '-d',
          'wheels',
          'hearthprobe==1.0',
        ],
      ],
      { PIP_CONFIG_FILE: '/dev/null', PIP_CERT: origin.caPath },
    );
    expectSuccess(result);
    expect(
      (await readFile(join(home, 'wheels', 'hearthprobe-1.0-py3-none-any.whl'))).byteLength,
    ).toBeGreaterThan(100);
    await expectAllAllowed(scheme === 'http' ? 'http' : 'connect');
  });

  it('shows the way out when a host is refused', async () => {
    const result = await inGuest(
      'python3',
      [
        '-m',
        'pip',
        '--isolated',
        'download',
        '--retries',
        '1',
        '--index-url',
        'https://pypi.test/simple',
        'x',
      ],
      { PIP_CONFIG_FILE: '/dev/null' },
    );
    expect(result.code).not.toBe(0);
    expect(result.stdout + result.stderr).toContain('allow with --allow-host pypi.test');
  });
});

it.each(['http', 'https'] as const)('npm installs a package: %s', async (scheme) => {
  const url = scheme === 'http' ? httpUrl : httpsUrl;
  await mkdir(join(home, 'project'));
  await writeFile(join(home, 'project', 'package.json'), '{"name":"p","version":"1.0.0"}');
  const result = await inGuest('npm', [
    ...['--prefix', 'project', 'install', 'hearth-probe@1.0.0', '--registry', url, '--cafile', origin.caPath],
    ...['--no-audit', '--no-fund', '--cache', join(home, 'cache'), '--fetch-retries=0'],
  ]);
  expectSuccess(result);
  const installed = join(home, 'project', 'node_modules', 'hearth-probe', 'hello.txt');
  expect(await readFile(installed, 'utf8')).toBe('hello from git\n');
  expect(proxy.events.every(({ decision }) => decision === 'allowed')).toBe(true);
  expect(proxy.events.length).toBeGreaterThan(0);
});

describe('apt', () => {
  async function apt(...args: string[]): Promise<Result> {
    for (const path of ['etc', 'state/lists/partial', 'cache/archives/partial']) {
      await mkdir(join(home, path), { recursive: true });
    }
    await writeFile(join(home, 'status'), '');
    const settings = {
      'Dir::Etc': join(home, 'etc'),
      'Dir::Etc::sourcelist': join(home, 'sources.list'),
      'Dir::Etc::sourceparts': '-',
      'Dir::State': join(home, 'state'),
      'Dir::State::status': join(home, 'status'),
      'Dir::Cache': join(home, 'cache'),
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
      'Acquire::Retries': '0',
      'Acquire::https::CaInfo': origin.caPath,
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    return inGuest('apt-get', [...options, ...args]);
  }

  it.each(['http', 'https'] as const)('updates and downloads: %s', async (scheme) => {
    const url = scheme === 'http' ? httpUrl : httpsUrl;
    await writeFile(join(home, 'sources.list'), `deb [trusted=yes] ${url}/apt ./\n`);
    expectSuccess(await apt('update'));
    expectSuccess(await apt('download', 'hearth-probe'));
    const deb = await readFile(join(home, 'hearth-probe_1.0_all.deb'));
    expect(sha256(deb)).toBe(sha256(await readFile(join(directory, 'probe.deb'))));
    await expectAllAllowed(scheme === 'http' ? 'http' : 'connect');
  });

  it('shows the way out when a host is refused', async () => {
    await writeFile(join(home, 'sources.list'), 'deb [trusted=yes] http://deb.test/debian ./\n');
    const result = await apt('update');
    expect(result.stdout + result.stderr).toContain('allow with --allow-host deb.test');
  });
});

it('Python reads the variables by itself', async () => {
  const script = `
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
handler = urllib.request.HTTPSHandler(context=context)
print(len(urllib.request.build_opener(handler).open(sys.argv[1]).read()))`;
  for (const url of [httpUrl, httpsUrl]) {
    const result = await inGuest('python3', ['-c', script, `${url}/file`, origin.caPath]);
    expect(result.stdout, result.stderr).toBe(`${FILE_BYTES.byteLength}\n`);
  }
});
