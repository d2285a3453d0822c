/**
 * A real registry for tests: Debian's docker-registry on loopback, behind a small proxy that counts requests.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`, as it stands in references; every request here is counted. */
  readonly host: string;
  readonly port: number;
  /** The same registry without the counting proxy in between, for measurements and pushes. */
  readonly directHost: string;
  /** `METHOD /path` of every request since the start or the last `forget`. */
  requests(): readonly string[];
  forget(): void;
  stop(): Promise<void>;
}

export interface TestRegistryOptions {
  /** Asks for a password; {@link REGISTRY_LOGIN} is accepted. */
  readonly auth?: boolean;
}

export const REGISTRY_LOGIN = { username: 'tester', password: 'correct horse' } as const;
/** `htpasswd -nbB tester 'correct horse'`. */
const HTPASSWD = 'tester:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n';
const START_TIMEOUT_MS = 20_000;

/** Starts a registry with its storage in a temporary directory. */
export async function startRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'hearth-registry-'));
  const directPort = await freePort();
  await writeFile(join(directory, 'htpasswd'), HTPASSWD);
  await writeFile(join(directory, 'config.yml'), config(directory, directPort, options.auth === true));
  const child = spawn('docker-registry', ['serve', join(directory, 'config.yml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-4000);
  });
  await started(child, directPort, () => said);
  const seen: string[] = [];
  const proxy = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    forward(incoming, outgoing, directPort);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    proxy.closeAllConnections();
    proxy.close();
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(directory, { recursive: true, force: true });
  };
  return {
    host: `127.0.0.1:${port}`,
    port,
    directHost: `127.0.0.1:${directPort}`,
    requests: () => [...seen],
    forget: () => {
      seen.length = 0;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function config(directory: string, port: number, hasAuth: boolean): string {
  const lines = [
    'version: 0.1',
    'log: { level: error, accesslog: { disabled: true } }',
    `storage: { filesystem: { rootdirectory: ${directory}/data }, delete: { enabled: true } }`,
    `http: { addr: 127.0.0.1:${port}, relativeurls: true }`,
  ];
  if (hasAuth) lines.push(`auth: { htpasswd: { realm: tests, path: ${directory}/htpasswd } }`);
  return `${lines.join('\n')}\n`;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createTcpServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function started(child: ChildProcess, port: number, said: () => string): Promise<void> {
  const failed = once(child, 'error').then(([error]) => {
    throw new Error(
      `docker-registry cannot be started, install the Debian package docker-registry: ${error}`,
    );
  });
  const ready = (async () => {
    const until = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < until && child.exitCode === null) {
      const status = await fetch(`http://127.0.0.1:${port}/v2/`).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200 || status === 401) return;
      await sleep(20);
    }
    throw new Error(`docker-registry did not start: ${said()}`);
  })();
  await Promise.race([ready, failed]);
  failed.catch(() => undefined);
}

function forward(incoming: IncomingMessage, outgoing: ServerResponse, port: number): void {
  const upstream = httpRequest(
    { host: '127.0.0.1', port, method: incoming.method, path: incoming.url, headers: incoming.headers },
    (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
      response.on('error', () => outgoing.destroy());
    },
  );
  upstream.on('error', () => outgoing.destroy());
  outgoing.on('close', () => upstream.destroy());
  incoming.pipe(upstream);
}
