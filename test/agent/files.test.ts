/** Files against the real agent as an ordinary process. */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AGENTS, buildAgents, execute, type LocalAgent, startLocalAgent, until } from '../support/agent.js';

beforeAll(buildAgents);

describe.each(AGENTS)('%s', (_name, path) => {
  let agent: LocalAgent;
  let directory: string;
  const at = (name: string): string => join(directory, name);
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-files-'));
    agent = await startLocalAgent({ path });
  });
  afterEach(async () => {
    await agent.close();
    await rm(directory, { recursive: true });
  });

  describe('one file', () => {
    it.each([0, 1, 4096, 65_536, 65_537, 3_000_000])('keeps %d bytes', async (sizeBytes) => {
      const content = randomBytes(sizeBytes);
      const written = await agent.client.files.write(at('file'), content, { mode: 0o640, uid: 1, gid: 2 });
      expect(written).toMatchObject({ kind: 'file', mode: 0o640, uid: 1, gid: 2, sizeBytes });
      expect((await readFile(at('file'))).equals(content)).toBe(true);
      expect((await agent.client.files.read(at('file'), { maxBytes: 4_000_000 })).equals(content)).toBe(true);
      expect(await readdir(directory)).toEqual(['file']);
    });

    it('is read from an offset, and refused above a limit', async () => {
      await writeFile(at('file'), 'abcdefgh');
      const { files } = agent.client;
      expect(await text(files.open(at('file'), { offsetBytes: 3, lengthBytes: 2 }))).toBe('de');
      expect(await text(files.open(at('file'), { offsetBytes: 100 }))).toBe('');
      expect((await files.read(at('file'), { maxBytes: 8 })).toString()).toBe('abcdefgh');
      await expect(files.read(at('file'), { maxBytes: 7 })).rejects.toMatchObject({
        code: 'CONTENT_TOO_LARGE',
      });
    });

    it('of /proc can be read, whatever its size says', async () => {
      expect((await agent.client.files.read('/proc/self/stat', { maxBytes: 4096 })).toString()).toContain(
        'hearth-agent',
      );
    });

    it('is replaced whole: readers see the old or the new one', async () => {
      await writeFile(at('file'), 'old', { mode: 0o604 });
      let release: () => void = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      async function* slow(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('new ');
        await gate;
        yield Buffer.from('content');
      }
      const writing = agent.client.files.write(at('file'), slow());
      await sleep(100);
      expect(await readFile(at('file'), 'utf8')).toBe('old');
      release();
      // Owner and mode of the file that was there are kept.
      expect(await writing).toMatchObject({ mode: 0o604, sizeBytes: 11 });
      expect(await readFile(at('file'), 'utf8')).toBe('new content');
    });

    it('leaves nothing behind when it is given up or its source fails', async () => {
      const controller = new AbortController();
      let sent = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (;;) {
          yield Buffer.alloc(1000);
          sent += 1;
          await sleep(1);
        }
      }
      const writing = agent.client.files.write(at('a'), endless(), { signal: controller.signal });
      await until(async () => sent > 20, 'the beginning of the file to be sent');
      controller.abort(new Error('stop'));
      await expect(writing).rejects.toThrow('stop');
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(1000);
        throw new Error('source');
      }
      await expect(agent.client.files.write(at('b'), failing())).rejects.toThrow('source');
      await agent.client.ping();
      await until(async () => (await readdir(directory)).length === 0, 'everything to be removed');
    });

    it('is written through a link, which stays', async () => {
      await writeFile(at('file'), 'old');
      await symlink('file', at('link'));
      await agent.client.files.write(at('link'), Buffer.from('new'));
      expect(await readFile(at('file'), 'utf8')).toBe('new');
      expect((await lstat(at('link'))).isSymbolicLink()).toBe(true);
    });

    it('creates parents, or does not', async () => {
      const content = Buffer.from('x');
      await expect(agent.client.files.write(at('a/b/c'), content)).rejects.toMatchObject({
        code: 'GUEST_FILE_NOT_FOUND',
      });
      await agent.client.files.write(at('a/b/c'), content, { parents: true });
      expect(await readFile(at('a/b/c'), 'utf8')).toBe('x');
    });

    it('is not replaced when that is excluded', async () => {
      await agent.client.files.write(at('file'), Buffer.from('1'), { exclusive: true });
      await expect(
        agent.client.files.write(at('file'), Buffer.from('2'), { exclusive: true }),
      ).rejects.toMatchObject({
        code: 'GUEST_FILE_EXISTS',
      });
      expect(await readFile(at('file'), 'utf8')).toBe('1');
      expect(await readdir(directory)).toEqual(['file']);
    });

    it('keeps times to the nanosecond, also before 1970', async () => {
      for (const mtimeNs of [1_234_567_890_123_456_789n, 1n, -1n, -1_500_000_000n]) {
        const { mtimeNs: kept } = await agent.client.files.write(at('file'), Buffer.from(''), { mtimeNs });
        expect(kept).toBe(mtimeNs);
      }
    });

    it('is refused where it cannot be', async () => {
      await mkdir(at('directory'));
      const { files } = agent.client;
      await expect(files.write(at('directory'), Buffer.from(''))).rejects.toMatchObject({
        code: 'GUEST_FILE_INVALID',
      });
      await expect(files.read(at('directory'), { maxBytes: 1 })).rejects.toMatchObject({
        code: 'GUEST_FILE_INVALID',
      });
      await expect(files.read(at('nothing'), { maxBytes: 1 })).rejects.toMatchObject({
        code: 'GUEST_FILE_NOT_FOUND',
      });
      await expect(files.read('/dev/zero', { maxBytes: 1 })).rejects.toMatchObject({
        code: 'GUEST_FILE_INVALID',
      });
      await execute(agent.client, { argv: ['mkfifo', at('fifo')] });
      await expect(files.read(at('fifo'), { maxBytes: 1 })).rejects.toMatchObject({
        code: 'GUEST_FILE_INVALID',
      });
      await expect(files.write('/dev/full', Buffer.from('x'))).rejects.toMatchObject({
        code: 'GUEST_DISK_FULL',
      });
      await expect(files.write('x'.repeat(5000), Buffer.from('x'))).rejects.toMatchObject({
        code: 'GUEST_FILE_INVALID',
      });
    });

    it('can be written in place', async () => {
      await writeFile(at('file'), 'a longer text');
      const before = await stat(at('file'));
      await agent.client.files.write(at('file'), Buffer.from('short'), { inPlace: true });
      expect((await stat(at('file'))).ino).toBe(before.ino);
      expect(await readFile(at('file'), 'utf8')).toBe('short');
    });
  });

  describe('directories and names', () => {
    it('are made, listed, changed, renamed, removed', async () => {
      const { files } = agent.client;
      await files.mkdir(at('d'), { mode: 0o750, uid: 3 });
      await files.mkdir(at('d/e/f'), { parents: true });
      await files.mkdir(at('d/e/f'), { parents: true });
      await expect(files.mkdir(at('d'))).rejects.toMatchObject({ code: 'GUEST_FILE_EXISTS' });
      await files.symlink('../target', at('d/link'));
      await files.write(at('d/file'), Buffer.from('12'));
      await files.setAttributes(at('d/file'), { mode: 0o4711, uid: 7, gid: 8, mtimeNs: 5n });
      await files.setAttributes(at('d/link'), { uid: 9 });
      const list = new Map(
        (await files.list(at('d'))).map((entry) => [Buffer.from(entry.path).toString(), entry]),
      );
      expect([...list.keys()].sort()).toEqual(['e', 'file', 'link']);
      expect(list.get('file')).toMatchObject({
        kind: 'file',
        mode: 0o4711,
        uid: 7,
        gid: 8,
        mtimeNs: 5n,
        sizeBytes: 2,
      });
      expect(list.get('link')).toMatchObject({ kind: 'symlink', uid: 9 });
      expect(Buffer.from(list.get('link')?.target ?? []).toString()).toBe('../target');
      expect(await files.stat(at('d'))).toMatchObject({ kind: 'directory', mode: 0o750, uid: 3 });
      await files.rename(at('d/file'), at('moved'));
      await expect(files.remove(at('d'))).rejects.toMatchObject({ code: 'GUEST_FILE_EXISTS' });
      await files.remove(at('d'), { recursive: true });
      await files.remove(at('d'), { recursive: true, missingOk: true });
      await expect(files.remove(at('d'))).rejects.toMatchObject({ code: 'GUEST_FILE_NOT_FOUND' });
      expect(await readdir(directory)).toEqual(['moved']);
    });

    it('are not followed when removed', async () => {
      await mkdir(at('outside'));
      await writeFile(at('outside/file'), '');
      await mkdir(at('d'));
      await symlink('../outside', at('d/link'));
      await agent.client.files.remove(at('d'), { recursive: true });
      expect(await readdir(at('outside'))).toEqual(['file']);
    });

    it('may hold any bytes', async () => {
      const name = Buffer.from([0x61, 0xff, 0x0a, 0x20, 0x80]);
      const path = Buffer.concat([Buffer.from(`${directory}/`), name]);
      await agent.client.files.write(path, Buffer.from('x'));
      const [entry] = await agent.client.files.list(directory);
      expect(Buffer.from(entry?.path ?? []).equals(name)).toBe(true);
      expect(await agent.client.files.stat(path)).toMatchObject({ sizeBytes: 1 });
    });

    it('may be many', async () => {
      await execute(agent.client, {
        argv: ['sh', '-c', 'i=0; while [ $i -lt 1000 ]; do : > file-$i; i=$((i+1)); done'],
        cwd: directory,
      });
      expect((await agent.client.files.list(directory)).length).toBe(1000);
      await expect(agent.client.files.list(directory, { maxEntries: 999 })).rejects.toMatchObject({
        code: 'ENTRIES_TOO_MANY',
      });
      expect(await agent.client.ping()).toBeGreaterThan(0);
    });
  });
});
