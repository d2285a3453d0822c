import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HearthError } from '../errors/index.js';
import { encodeTarEntry, type NewTarEntry, TAR_END, tarPadding } from '../tar/index.js';
import { packTree } from './pack-tree.js';
import { type UnpackOptions, type UnpackResult, unpackTree } from './unpack-tree.js';

type Entry = Partial<NewTarEntry> & Pick<NewTarEntry, 'path'> & { readonly content?: string };

async function* archive(entries: readonly Entry[], end = true): AsyncGenerator<Uint8Array> {
  for (const { content = '', ...entry } of entries) {
    const kind = entry.kind ?? 'file';
    const bytes = Buffer.from(kind === 'file' ? content : '');
    const mtime = { seconds: 1_000_000_000, nanoseconds: 0 };
    yield encodeTarEntry({ mode: 0o644, uid: 0, gid: 0, mtime, sizeBytes: bytes.length, ...entry, kind });
    yield bytes;
    yield tarPadding(bytes.byteLength);
  }
  if (end) yield TAR_END;
}

let base: string;
let target: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'hearth-unpack-'));
  target = join(base, 'target');
  await mkdir(target);
  await mkdir(join(base, 'outside'));
  await writeFile(join(base, 'outside', 'secret'), 'untouched', { mode: 0o600 });
});
afterEach(async () => {
  await rm(base, { recursive: true, force: true });
});

const unpack = (entries: readonly Entry[], options?: UnpackOptions): Promise<UnpackResult> =>
  unpackTree(archive(entries), target, options);
const directory = (path: string, mode = 0o755): Entry => ({ path, kind: 'directory', mode });

/** `readdir` follows links when it is recursive. */
async function namesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  const below = entries.map(async (entry) =>
    entry.isDirectory() ? await namesBelow(join(path, entry.name)) : [],
  );
  return [...entries.map(({ name }) => name), ...(await Promise.all(below)).flat()];
}

async function outside(): Promise<unknown> {
  const { mode, ino } = await lstat(join(base, 'outside', 'secret'));
  return [
    await readdir(base),
    await readdir(join(base, 'outside')),
    await readFile(join(base, 'outside', 'secret'), 'utf8'),
    mode,
    ino,
  ];
}

describe('unpacking', () => {
  it('makes files, directories, links and hard links with their modes and times', async () => {
    const result = await unpack([
      directory('d', 0o750),
      { path: 'd/script', content: '#!/bin/sh', mode: 0o755 },
      { path: 'd/again', kind: 'hardlink', linkTarget: 'd/script' },
      { path: 'link', kind: 'symlink', linkTarget: '/etc/passwd' },
      { path: 'd/\xff', content: 'odd' },
    ]);
    expect(result).toEqual({ entryCount: 5, contentBytes: 12, skipped: [], skippedCount: 0 });
    expect((await stat(join(target, 'd'))).mode & 0o7777).toBe(0o750);
    const script = await stat(join(target, 'd/script'));
    expect([script.mode & 0o7777, script.mtimeMs, script.nlink]).toEqual([0o755, 1e12, 2]);
    expect((await stat(join(target, 'd/again'))).ino).toBe(script.ino);
    expect(await readlink(join(target, 'link'))).toBe('/etc/passwd');
    expect((await readdir(Buffer.from(join(target, 'd')), { encoding: 'buffer' })).map(String)).toHaveLength(
      3,
    );
    expect((await readdir(target)).filter((name) => name.startsWith('.hearth-'))).toEqual([]);
  });

  it('fills a directory that nobody may write to, and leaves it so', async () => {
    await unpack([directory('d', 0o500), { path: 'd/f', content: 'x' }, directory('d/e', 0o500)]);
    expect((await stat(join(target, 'd'))).mode & 0o777).toBe(0o500);
    expect(await readFile(join(target, 'd/f'), 'utf8')).toBe('x');
    await chmod(join(target, 'd'), 0o700);
  });

  it('drops set-id and sticky bits unless owners are kept', async () => {
    await unpack([{ path: 'a', mode: 0o6755 }]);
    await unpack([{ path: 'b', mode: 0o6755 }], { keepOwners: true });
    const modes = await Promise.all(['a', 'b'].map(async (name) => (await stat(join(target, name))).mode));
    expect(modes.map((mode) => mode & 0o7777)).toEqual([0o755, 0o6755]);
  });

  it.runIf(process.getuid?.() === 0)('gives files their owners when asked to', async () => {
    await unpack([{ path: 'a', uid: 1234, gid: 4321 }]);
    await unpack([{ path: 'b', uid: 1234, gid: 4321 }], { keepOwners: true });
    const owners = await Promise.all(['a', 'b'].map((name) => stat(join(target, name))));
    expect(owners.map(({ uid, gid }) => [uid, gid])).toEqual([
      [0, 0],
      [1234, 4321],
    ]);
  });

  it('replaces files and links whole, and keeps what is in directories', async () => {
    await mkdir(join(target, 'd'), { mode: 0o711 });
    await writeFile(join(target, 'd/kept'), 'kept');
    await symlink(join(base, 'outside/secret'), join(target, 'd/f'));
    await unpack([directory('d', 0o700), { path: 'd/f', content: 'new' }]);
    expect((await lstat(join(target, 'd/f'))).isFile()).toBe(true);
    expect(await readFile(join(target, 'd/kept'), 'utf8')).toBe('kept');
    expect((await stat(join(target, 'd'))).mode & 0o777).toBe(0o711);
    expect(await readFile(join(base, 'outside/secret'), 'utf8')).toBe('untouched');
  });

  it('takes the last of two files of one name', async () => {
    await unpack([
      { path: 'f', content: 'one' },
      { path: 'f', content: 'two' },
    ]);
    expect(await readFile(join(target, 'f'), 'utf8')).toBe('two');
  });

  it('leaves devices and FIFOs out, and says so', async () => {
    const { skipped, skippedCount } = await unpack([
      { path: 'null', kind: 'character', major: 1, minor: 3 },
      { path: 'disk', kind: 'block', major: 8 },
      { path: 'pipe', kind: 'fifo' },
    ]);
    expect(skipped.map(({ path, kind }) => [path, kind])).toEqual([
      ['null', 'character'],
      ['disk', 'block'],
      ['pipe', 'fifo'],
    ]);
    expect(skippedCount).toBe(3);
    expect(await readdir(target)).toEqual([]);
  });
});

describe('what a guest may not do', () => {
  const REFUSED: ReadonlyArray<readonly [string, readonly Entry[], string]> = [
    ['climb out by ..', [{ path: '../outside/secret' }], 'PATH_ESCAPES_ROOT'],
    ['climb out further down', [directory('d'), { path: 'd/../../outside/secret' }], 'PATH_ESCAPES_ROOT'],
    [
      'write through a link of its own',
      [
        { path: 'l', kind: 'symlink', linkTarget: '../outside' },
        { path: 'l/secret', content: 'x' },
      ],
      'COPY_TARGET_CONFLICT',
    ],
    [
      'take a link for a directory',
      [{ path: 'l', kind: 'symlink', linkTarget: '../outside' }, directory('l', 0o777)],
      'COPY_TARGET_CONFLICT',
    ],
    [
      'link a file of the host',
      [{ path: 'h', kind: 'hardlink', linkTarget: '/etc/passwd' }],
      'HARDLINK_TARGET_MISSING',
    ],
    [
      'link out by ..',
      [{ path: 'h', kind: 'hardlink', linkTarget: '../outside/secret' }],
      'PATH_ESCAPES_ROOT',
    ],
    [
      'link what a link leads to',
      [
        { path: 'l', kind: 'symlink', linkTarget: '../outside' },
        { path: 'h', kind: 'hardlink', linkTarget: 'l/secret' },
      ],
      'HARDLINK_TARGET_MISSING',
    ],
    [
      'link a link that has taken the place of a file',
      [
        { path: 'f', content: 'x' },
        { path: 'f', kind: 'symlink', linkTarget: '../outside/secret' },
        { path: 'h', kind: 'hardlink', linkTarget: 'f' },
      ],
      'HARDLINK_TARGET_MISSING',
    ],
    ['replace a directory', [directory('d'), { path: 'd', content: 'x' }], 'COPY_TARGET_CONFLICT'],
    ['replace the target', [{ path: '.', content: 'x' }], 'PATH_ESCAPES_ROOT'],
    ['put a file below a file', [{ path: 'f' }, { path: 'f/g' }], 'COPY_TARGET_CONFLICT'],
  ];

  it.each(REFUSED)('%s', async (_name, entries, code) => {
    const before = await outside();
    await expect(unpack(entries)).rejects.toMatchObject({ code });
    expect(await outside()).toEqual(before);
  });

  it('follow a link that was there before', async () => {
    await symlink('../outside', join(target, 'l'));
    await expect(unpack([{ path: 'l/new', content: 'x' }])).rejects.toMatchObject({
      code: 'COPY_TARGET_CONFLICT',
      details: { path: join(target, 'l') },
    });
    expect(await readdir(join(base, 'outside'))).toEqual(['secret']);
  });

  it('bring names that nobody asked for', async () => {
    await expect(unpack([{ path: 'other' }], { only: 'asked' })).rejects.toMatchObject({
      code: 'PATH_ESCAPES_ROOT',
    });
    await expect(unpack([{ path: 'asked-too' }], { only: 'asked' })).rejects.toMatchObject({
      code: 'PATH_ESCAPES_ROOT',
    });
    expect(await readdir(target)).toEqual([]);
  });

  it('bring more than the limits', async () => {
    const files = ['a', 'b', 'c'].map((path) => ({ path, content: '1234' }));
    await expect(unpack(files, { maxEntries: 2 })).rejects.toMatchObject({ code: 'ENTRIES_TOO_MANY' });
    await expect(unpack(files, { maxEntries: 3, maxBytes: 12 })).resolves.toMatchObject({ entryCount: 3 });
    await expect(unpack(files, { maxBytes: 11 })).rejects.toMatchObject({
      code: 'CONTENT_TOO_LARGE',
      details: { path: 'c' },
    });
  });

  it('leave a file that is half there', async () => {
    const cut = async function* (): AsyncGenerator<Uint8Array> {
      yield encodeTarEntry({
        path: 'f',
        kind: 'file',
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: { seconds: 0, nanoseconds: 0 },
        sizeBytes: 100_000,
      });
      yield Buffer.alloc(50_000);
    };
    await writeFile(join(target, 'f'), 'as it was');
    await expect(unpackTree(cut(), target)).rejects.toMatchObject({ code: 'TAR_TRUNCATED' });
    expect(await readdir(target)).toEqual(['f']);
    expect(await readFile(join(target, 'f'), 'utf8')).toBe('as it was');
  });

  it('keep the work from being cancelled', async () => {
    const gone = new AbortController();
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (let count = 0; ; count += 1) {
        if (count === 5) gone.abort(new Error('enough'));
        yield* archive([{ path: `f${count}`, content: 'x' }], false);
      }
    };
    await expect(unpackTree(endless(), target, { signal: gone.signal })).rejects.toThrow('enough');
  });

  it('write anything outside, whatever the archive says', { timeout: 120_000 }, async () => {
    const name = fc.constantFrom(
      'a',
      'b',
      'A',
      'a/b',
      'b/a',
      '..',
      '.',
      'a/../..',
      '/a',
      'a//b',
      '../outside',
    );
    const goal = fc.constantFrom('a', 'b', '../outside', '/', '..', 'a/b', '../outside/secret', '.');
    const entry = fc.record({
      path: name,
      kind: fc.constantFrom('file', 'directory', 'symlink', 'hardlink', 'fifo', 'character'),
      linkTarget: goal,
      content: fc.constantFrom('', 'x'),
      mode: fc.constantFrom(0o777, 0o4755, 0o700),
    });
    const before = await outside();
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 12 }), async (entries) => {
        await rm(target, { recursive: true, force: true });
        await mkdir(target);
        await unpack(entries as readonly Entry[]).catch((error: unknown) => {
          if (!HearthError.is(error)) throw error;
        });
        expect(await outside()).toEqual(before);
        const left = await namesBelow(target);
        expect(left.filter((name) => name.startsWith('.hearth-'))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('packing', () => {
  it('and unpacking gives the same tree', async () => {
    const source = join(base, 'source');
    await mkdir(join(source, 'd'), { recursive: true });
    await writeFile(join(source, 'd/f'), Buffer.alloc(700_000, 'x'), { mode: 0o640 });
    await symlink('d/f', join(source, 'l'));
    await unpackTree(packTree(source, 'copy'), target, { only: 'copy' });
    expect((await readdir(join(target, 'copy'), { recursive: true })).sort()).toEqual(['d', 'd/f', 'l']);
    expect(await readFile(join(target, 'copy/d/f'))).toEqual(await readFile(join(source, 'd/f')));
    expect((await stat(join(target, 'copy/d/f'))).mode & 0o777).toBe(0o640);
    expect(await readlink(join(target, 'copy/l'))).toBe('d/f');
  });

  it('of nothing says which path', async () => {
    await expect(unpackTree(packTree(join(base, 'no'), 'x'), target)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      details: { path: join(base, 'no') },
    });
  });
});
