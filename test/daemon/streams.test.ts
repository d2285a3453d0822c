/** Downloads and uploads between the client and the daemon, over a real socket, with a service of the test's. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Service } from '../../src/contract/index.js';
import { createDaemonServer } from '../../src/daemon/server.js';
import { HearthError } from '../../src/errors/index.js';
import type { Runtime } from '../../src/sandboxes/index.js';
import { createDaemonClient } from '../../src/sdk/index.js';
import { ask, sendRaw } from '../support/daemon.js';

const FILE = {
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 3,
  mtime: '2026-01-01T00:00:00.000Z',
  linkCount: 1,
  target: null,
} as const;
const PIECE = Buffer.alloc(64 * 1024, 'x');

let directory: string;
let socketPath: string;
let close: () => Promise<void>;
let service: Partial<Record<'download' | 'upload', (...args: never[]) => Promise<unknown>>>;
let client: Service;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-streams-'));
  socketPath = join(directory, 'd.sock');
  service = {};
  const { http } = createDaemonServer({
    service: {
      download: (...args: never[]) => service.download?.(...args),
      upload: (...args: never[]) => service.upload?.(...args),
    } as unknown as Service,
    runtime: {} as Runtime,
    version: '1.2.3',
    onStop: () => {},
    limits: { uploadIdleMs: 1000 },
  });
  http.listen(socketPath);
  await once(http, 'listening');
  close = async () => {
    http.close();
    http.closeAllConnections();
  };
  client = createDaemonClient({ socketPath, version: '1.2.3' });
});
afterEach(async () => {
  await close();
  await rm(directory, { recursive: true });
});

const denied = (): HearthError =>
  new HearthError('GUEST_FILE_DENIED', 'no — not “this”', { hint: 'Ask.', details: { path: '/é' } });
const read = { sandbox: 's', path: '/ü"\\\u0001' };

describe('a download', () => {
  it('brings head and bytes, and the input as it was', async () => {
    const bytes = Buffer.from('\0\u00ffabc');
    let asked: unknown;
    service.download = async (...[name, input]: unknown[]) => {
      asked = [name, input];
      return { head: { file: FILE }, content: Readable.from([bytes], { objectMode: false }) };
    };
    const { head, content } = await client.download('file.read', read);
    expect(head).toEqual({ file: FILE });
    expect(await buffer(content)).toEqual(bytes);
    expect(asked).toEqual(['file.read', read]);
  });

  it('tells what went wrong before its head as an error', async () => {
    service.download = async () => {
      throw denied();
    };
    await expect(client.download('file.read', read)).rejects.toMatchObject(denied().toJSON());
  });

  it('tells what went wrong midway at the end, and to who cannot read trailers by breaking off', async () => {
    service.download = async () => ({
      head: { file: FILE },
      content: Readable.from(
        (async function* () {
          yield PIECE;
          throw denied();
        })(),
        { objectMode: false },
      ),
    });
    const { content } = await client.download('file.read', read);
    await expect(buffer(content)).rejects.toMatchObject(denied().toJSON());
    const headers = { 'hearth-input': JSON.stringify(read) };
    await expect(ask(socketPath, 'POST', '/v1/file.read', { headers })).rejects.toMatchObject({
      code: 'ECONNRESET',
    });
  });

  it('is held back by its reader, and ended when the reader goes', async () => {
    let made = 0;
    let ended = false;
    service.download = async () => ({
      head: { file: FILE },
      content: Readable.from(
        (async function* () {
          try {
            for (;;) {
              made += 1;
              yield PIECE;
            }
          } finally {
            ended = true;
          }
        })(),
        { objectMode: false },
      ),
    });
    const { content } = await client.download('file.read', read);
    await once(content, 'readable');
    await expect
      .poll(async () => {
        const before = made;
        await sleep(200);
        return made - before;
      })
      .toBe(0);
    expect(made * PIECE.byteLength).toBeLessThan(16 * 1024 * 1024);
    content.destroy();
    await expect.poll(() => ended).toBe(true);
  });

  it.each([
    ['no input', {}],
    ['an input that is not JSON', { 'hearth-input': '{' }],
  ])('with %s is refused', async (_name, headers) => {
    const { status, body } = await ask(socketPath, 'POST', '/v1/file.read', { headers });
    expect(status).toBe(400);
    expect(JSON.parse(body).error.code).toBe('REQUEST_INVALID');
  });
});

describe('an upload', () => {
  const wholeOf = (content: AsyncIterable<Uint8Array>): Promise<Buffer> => buffer(content);

  it('brings its bytes and gets its answer', async () => {
    let got: Buffer = Buffer.alloc(0);
    service.upload = async (...[, , content]: unknown[]) => {
      got = await wholeOf(content as AsyncIterable<Uint8Array>);
      return { file: FILE };
    };
    const sent = Array.from({ length: 20 }, (_, at) => Buffer.alloc(50_000, at));
    expect(await client.upload('file.write', read, Readable.from(sent))).toEqual({ file: FILE });
    expect(got.equals(Buffer.concat(sent))).toBe(true);
  });

  it('that is refused ends at once with the reason, however much there is to send', async () => {
    service.upload = async () => {
      throw denied();
    };
    let sent = 0;
    const endless = async function* (): AsyncGenerator<Buffer> {
      for (;;) {
        sent += 1;
        yield PIECE;
        await sleep(1);
      }
    };
    await expect(client.upload('file.write', read, endless())).rejects.toMatchObject(denied().toJSON());
    const before = sent;
    await sleep(200);
    expect(sent - before).toBeLessThan(3);
  });

  it('whose content fails rejects with that failure, and the other side hears of it', async () => {
    let heard: unknown;
    service.upload = async (...[, , content]: unknown[]) => {
      try {
        await wholeOf(content as AsyncIterable<Uint8Array>);
        return { file: FILE };
      } catch (error) {
        heard = error;
        throw error;
      }
    };
    const failing = async function* (): AsyncGenerator<Buffer> {
      yield PIECE;
      throw denied();
    };
    await expect(client.upload('file.write', read, failing())).rejects.toMatchObject({
      code: 'GUEST_FILE_DENIED',
    });
    await expect.poll(() => heard).toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('is held back by a guest that does not take it', async () => {
    let sent = 0;
    const endless = async function* (): AsyncGenerator<Buffer> {
      for (;;) {
        sent += 1;
        yield PIECE;
      }
    };
    service.upload = async (...args: unknown[]) => {
      await once((args[3] as { signal: AbortSignal }).signal, 'abort');
      throw denied();
    };
    const gone = new AbortController();
    const upload = client.upload('file.write', read, endless(), { signal: gone.signal });
    upload.catch(() => {});
    await expect
      .poll(async () => {
        const before = sent;
        await sleep(200);
        return sent > 0 && sent === before;
      })
      .toBe(true);
    expect(sent * PIECE.byteLength).toBeLessThan(16 * 1024 * 1024);
    gone.abort(new Error('enough'));
    await expect(upload).rejects.toThrow('enough');
  });

  it('of a client that sends nothing any more is given up, with the reason', async () => {
    let heard: unknown;
    service.upload = async (...[, , content]: unknown[]) => {
      try {
        return await wholeOf(content as AsyncIterable<Uint8Array>);
      } catch (error) {
        heard = error;
        throw error;
      }
    };
    const head = `POST /v1/file.write HTTP/1.1\r\nhost: h\r\nhearth-input: {}\r\ncontent-length: 10\r\n\r\nhalf`;
    const answer = await sendRaw(socketPath, head, 30_000);
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 504 .*UPLOAD_STALLED/s);
    expect(heard).toMatchObject({ code: 'UPLOAD_STALLED', details: { idleMs: 1000 } });
  });

  it('answers a client that goes on sending before it closes', async () => {
    service.upload = async () => {
      throw denied();
    };
    const head = `POST /v1/file.write HTTP/1.1\r\nhost: h\r\nhearth-input: {}\r\ncontent-length: 100000000\r\n\r\n`;
    const answer = await sendRaw(
      socketPath,
      Buffer.concat([Buffer.from(head), Buffer.alloc(1_000_000)]),
      60_000,
    );
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 403 .*GUEST_FILE_DENIED/s);
  });
});
