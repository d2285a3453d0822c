/** Looks whether a service is ready. What is asked is the guest's, which may answer anything, or nothing. */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { HearthError } from '../../errors/index.js';
import type { Sandbox } from '../sandbox.js';
import type { Readiness } from './process-records.js';

const LOOK_EVERY_MS = 100;
const LOOK_TIMEOUT_MS = 5000;
const MAX_STATUS_BYTES = 8192;
const HOSTS = new Map([
  ['localhost', '127.0.0.1'],
  ['127.0.0.1', '127.0.0.1'],
  ['[::1]', '::1'],
]);

interface HttpTarget {
  readonly host: string;
  readonly port: number;
  readonly request: string;
}

/** @throws {HearthError} `USAGE_INVALID` for what could never become ready. */
export function assertReadiness(ready: Readiness): void {
  if (ready.kind === 'http') httpTarget(ready.url);
  if (ready.kind === 'file' && !ready.path.startsWith('/')) {
    throw new HearthError(
      'USAGE_INVALID',
      `the ready file ${JSON.stringify(ready.path)} has no absolute path`,
      {
        hint: 'Give the path in the guest, for example --ready-file /run/app.ready.',
        details: { path: ready.path },
      },
    );
  }
}

/** An address of the guest's own: nothing else is asked. */
export function httpTarget(text: string): HttpTarget {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const host = url === undefined ? undefined : HOSTS.get(url.hostname);
  if (url?.protocol !== 'http:' || host === undefined || url.username !== '' || url.password !== '') {
    throw new HearthError(
      'USAGE_INVALID',
      `not an http address of the guest itself: ${JSON.stringify(text)}`,
      {
        hint: 'Write it like http://127.0.0.1:8080/health.',
        details: { url: text },
      },
    );
  }
  const port = url.port === '' ? 80 : Number(url.port);
  const request = `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`;
  return { host, port, request };
}

/** The status of an HTTP answer's first line; undefined when it is none. */
export function httpStatus(head: string): number | undefined {
  const match = /^HTTP\/1\.[01] (\d{3})(?: |\r|\n)/.exec(head);
  return match === null ? undefined : Number(match[1]);
}

/**
 * Resolves once the service is ready. Rejects only with `signal.reason`: whatever else goes wrong means that it is
 * not ready yet.
 */
export async function waitUntilReady(sandbox: Sandbox, ready: Readiness, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const look = AbortSignal.any([signal, AbortSignal.timeout(LOOK_TIMEOUT_MS)]);
    if (await isReady(sandbox, ready, look).catch(() => false)) return;
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function isReady(sandbox: Sandbox, ready: Readiness, signal: AbortSignal): Promise<boolean> {
  switch (ready.kind) {
    case 'file':
      await (await sandbox.agent({ signal })).files.stat(ready.path, { signal });
      return true;
    case 'tcp':
      (await (await sandbox.agent({ signal })).connect({ port: ready.port }, { signal })).destroy();
      return true;
    case 'http': {
      const { host, port, request } = httpTarget(ready.url);
      const connection = await (await sandbox.agent({ signal })).connect({ host, port }, { signal });
      try {
        const status = httpStatus(await firstLine(connection, request, signal));
        return status !== undefined && status >= 200 && status < 400;
      } finally {
        connection.destroy();
      }
    }
    case 'command': {
      const process = await sandbox.exec({ argv: ready.argv, timeoutMs: LOOK_TIMEOUT_MS }, { signal });
      process.stdout.resume();
      process.stderr.resume();
      return (await process.exited).exitCode === 0;
    }
  }
}

async function firstLine(connection: Duplex, request: string, signal: AbortSignal): Promise<string> {
  const onAbort = (): void => void connection.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    connection.write(request);
    let head = '';
    for await (const chunk of connection) {
      head += Buffer.from(chunk as Uint8Array).toString('latin1');
      if (head.includes('\n') || head.length > MAX_STATUS_BYTES) break;
    }
    return head;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
