/**
 * An origin server for real clients: plain and TLS, with files, uploads, a git repository, an apt
 * repository, a Python index and an npm registry. Everything in it is made here.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Listening, listening } from './support.js';

const run = promisify(execFile);

export interface Origin {
  readonly http: Listening;
  readonly https: Listening;
  /** The certificate authority of the TLS side, PEM. */
  readonly caPath: string;
  close(): Promise<void>;
}

/** Names under which the origin is known to the tests' guests. */
export const ORIGIN_HOST = 'origin.test';
export const FILE_BYTES = Buffer.alloc(300_000, 'hearth ');

export async function startOrigin(directory: string): Promise<Origin> {
  const keyPath = join(directory, 'key.pem');
  const caPath = join(directory, 'cert.pem');
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${ORIGIN_HOST}`, '-addext', `subjectAltName=DNS:${ORIGIN_HOST}`],
    ...['-keyout', keyPath, '-out', caPath],
  ]);
  await makeGitRepository(directory);
  const files = new Map([['/file', FILE_BYTES], ...(await makeAptRepository(directory))]);
  const wheel = await makeWheel(directory);
  files.set('/simple/hearthprobe/', Buffer.from(`<a href="/wheels/${wheel.name}">${wheel.name}</a>`));
  files.set(`/wheels/${wheel.name}`, wheel.bytes);
  const tarball = await makeNpmPackage(directory);

  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, search } = new URL(request.url ?? '', 'http://x');
    const file = files.get(decodeURIComponent(pathname));
    if (file !== undefined) {
      response.setHeader('content-length', file.byteLength);
      if (pathname.endsWith('/')) response.setHeader('content-type', 'text/html');
      response.end(request.method === 'HEAD' ? undefined : file);
    } else if (pathname === '/upload') {
      const hash = createHash('sha256');
      request.on('data', (chunk: Buffer) => hash.update(chunk));
      request.on('end', () => response.end(`${request.method} ${hash.digest('hex')}\n`));
    } else if (pathname.startsWith('/git/')) {
      serveGit(directory, pathname.slice('/git'.length), search.slice(1), request, response);
    } else if (pathname === '/hearth-probe') {
      const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
      const base = `${'encrypted' in request.socket ? 'https' : 'http'}://${request.headers.host}`;
      const dist = { tarball: `${base}/hearth-probe/-/hearth-probe-1.0.0.tgz`, integrity };
      const version = { name: 'hearth-probe', version: '1.0.0', dist };
      const packument = {
        name: 'hearth-probe',
        'dist-tags': { latest: '1.0.0' },
        versions: { '1.0.0': version },
      };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(packument));
    } else if (pathname === '/hearth-probe/-/hearth-probe-1.0.0.tgz') {
      response.end(tarball);
    } else {
      response.writeHead(404).end();
    }
  };
  const http = await listening(createHttpServer(serve));
  const [key, cert] = await Promise.all([readFile(keyPath), readFile(caPath)]);
  const https = await listening(createHttpsServer({ key, cert }, serve));
  return {
    http,
    https,
    caPath,
    async close() {
      await Promise.all([http.close(), https.close()]);
    },
  };
}

async function makeGitRepository(directory: string): Promise<void> {
  const work = join(directory, 'work');
  const git = (...args: string[]) =>
    run('git', ['-C', work, '-c', 'user.name=t', '-c', 'user.email=t@t.test', ...args]);
  await mkdir(work);
  await git('init', '-q', '-b', 'main');
  await writeFile(join(work, 'hello.txt'), 'hello from git\n');
  await writeFile(join(work, 'large.bin'), FILE_BYTES);
  await git('add', '.');
  await git('commit', '-q', '-m', 'first');
  const bare = join(directory, 'git', 'probe.git');
  await run('git', ['clone', '-q', '--bare', work, bare]);
  await run('git', ['-C', bare, 'config', 'http.receivepack', 'true']);
}

/** CGI (RFC 3875) to `git http-backend`, as a web server would do it. */
function serveGit(
  directory: string,
  path: string,
  query: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH ?? '',
      GIT_PROJECT_ROOT: join(directory, 'git'),
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: path,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? '',
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      ...(request.headers['content-length'] === undefined
        ? {}
        : { CONTENT_LENGTH: request.headers['content-length'] }),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  backend.stdin.on('error', () => {});
  request.pipe(backend.stdin);
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    backend.stdout.off('data', onData);
    let status = 200;
    for (const line of head.subarray(0, end).toString().split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') status = Number.parseInt(value, 10);
      else response.appendHeader(name, value);
    }
    response.writeHead(status);
    response.write(head.subarray(end + 4));
    backend.stdout.pipe(response);
  };
  backend.stdout.on('data', onData);
}

async function makeAptRepository(directory: string): Promise<Array<[path: string, bytes: Buffer]>> {
  const root = join(directory, 'deb');
  await mkdir(join(root, 'DEBIAN'), { recursive: true });
  const control = [
    ...['Package: hearth-probe', 'Version: 1.0', 'Architecture: all', 'Maintainer: t <t@t.test>'],
    'Description: a package of the tests\n',
  ].join('\n');
  await writeFile(join(root, 'DEBIAN', 'control'), control);
  await writeFile(join(root, 'payload'), FILE_BYTES);
  const path = join(directory, 'probe.deb');
  await run('dpkg-deb', ['--build', '--root-owner-group', root, path]);
  const bytes = await readFile(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const index = `${control}Filename: ./probe.deb\nSize: ${bytes.byteLength}\nSHA256: ${sha256}\n\n`;
  return [
    ['/apt/./Packages', Buffer.from(index)],
    ['/apt/Packages', Buffer.from(index)],
    ['/apt/probe.deb', bytes],
    ['/apt/./probe.deb', bytes],
  ];
}

async function makeWheel(directory: string): Promise<{ name: string; bytes: Buffer }> {
  const name = 'hearthprobe-1.0-py3-none-any.whl';
  const script = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    info = 'hearthprobe-1.0.dist-info/'
    wheel.writestr('hearthprobe.py', 'answer = 42\\n')
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: hearthprobe\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')
`;
  await run('python3', ['-c', script, join(directory, name)]);
  return { name, bytes: await readFile(join(directory, name)) };
}

async function makeNpmPackage(directory: string): Promise<Buffer> {
  const root = join(directory, 'npm', 'package');
  await mkdir(root, { recursive: true });
  await writeFile(join(root, 'package.json'), '{"name":"hearth-probe","version":"1.0.0"}');
  await cp(join(directory, 'work', 'hello.txt'), join(root, 'hello.txt'));
  const path = join(directory, 'probe.tgz');
  await run('tar', ['-czf', path, '-C', join(directory, 'npm'), 'package']);
  return readFile(path);
}
