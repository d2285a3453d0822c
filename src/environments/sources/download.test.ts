import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DownloadOptions, download } from './download.js';

let directory: string;
let server: Server;
let answer: (response: ServerResponse, path: string) => void;
let base: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hearth-download-'));
  server = createServer((request, response) => answer(response, request.url ?? ''));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

const path = (): string => join(directory, 'file');

async function get(options: Partial<DownloadOptions> = {}): Promise<string> {
  await download(`${base}/a`, path(), { signal: undefined, ...options });
  return readFileSync(path(), 'utf8');
}

describe('download', () => {
  it('writes the body and tells how far it is', async () => {
    answer = (response) => response.end('0123456789');
    const seen: [number, number | undefined][] = [];
    expect(await get({ onProgress: (done, total) => seen.push([done, total]) })).toBe('0123456789');
    expect(seen.at(-1)).toEqual([10, 10]);
  });

  const failures: [name: string, answer: typeof answer, code: string][] = [
    ['another status', (response) => response.writeHead(404).end('no'), 'ENVIRONMENT_SOURCE_UNAVAILABLE'],
    [
      'a body that ends early',
      (response) => response.writeHead(200, { 'content-length': 10 }).write('1', () => response.destroy()),
      'ENVIRONMENT_SOURCE_UNAVAILABLE',
    ],
    ['no connection', (response) => response.destroy(), 'ENVIRONMENT_SOURCE_UNAVAILABLE'],
    ['no answer', () => {}, 'ENVIRONMENT_SOURCE_UNAVAILABLE'],
    [
      'a body that stalls',
      (response) => response.writeHead(200).write('1'),
      'ENVIRONMENT_SOURCE_UNAVAILABLE',
    ],
    ['a body that is too long', (response) => response.end('x'.repeat(101)), 'CONTENT_TOO_LARGE'],
    [
      'a redirect away from https',
      (response) => response.writeHead(302, { location: `${base}/b` }).end(),
      'REDIRECT_REFUSED',
    ],
    [
      'a redirect to a file',
      (response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      'REDIRECT_REFUSED',
    ],
  ];
  it.each(failures)('reports %s', async (_name, respond, code) => {
    answer = respond;
    const timeoutMs = code === 'ENVIRONMENT_SOURCE_UNAVAILABLE' ? 200 : 60_000;
    const options = { headerTimeoutMs: timeoutMs, stallTimeoutMs: timeoutMs, maxBytes: 100 };
    await expect(get(options)).rejects.toMatchObject({ code, hint: expect.any(String) });
  });

  it('accepts exactly the limit', async () => {
    answer = (response) => response.end('x'.repeat(100));
    expect((await get({ maxBytes: 100 })).length).toBe(100);
  });

  it('follows at most five redirects, on https only', async () => {
    const visited: string[] = [];
    const fetch = async (input: unknown): Promise<Response> => {
      visited.push(String(input));
      const hop = Number(new URL(String(input)).pathname.slice(1));
      return hop === 5
        ? new Response('there')
        : new Response(null, { status: 302, headers: { location: `https://other.example/${hop + 1}` } });
    };
    const options = { signal: undefined, fetch: fetch as typeof globalThis.fetch };
    await download('https://first.example/0', path(), options);
    expect(readFileSync(path(), 'utf8')).toBe('there');
    expect(visited).toHaveLength(6);
    await expect(download('https://first.example/-1', join(directory, 'b'), options)).rejects.toMatchObject({
      code: 'REDIRECT_REFUSED',
    });
  });

  it('rejects with the reason of the signal', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    answer = (response) => {
      response.writeHead(200).write('1');
      setTimeout(() => stop.abort(reason), 20);
    };
    await expect(get({ signal: stop.signal })).rejects.toBe(reason);
  });
});
