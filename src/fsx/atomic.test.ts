import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { publishDirectory, readFileBounded, writeFileAtomic } from './atomic.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-atomic-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('writeFileAtomic', () => {
  it('replaces the bytes and leaves nothing beside them', async () => {
    const path = join(directory, 'a.json');
    await writeFileAtomic(path, 'old');
    await writeFileAtomic(path, 'new', 0o644);
    expect(await readFile(path, 'utf8')).toBe('new');
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(directory)).toEqual(['a.json']);
  });

  it('keeps the old bytes and cleans up when it cannot finish', async () => {
    await mkdir(join(directory, 'taken'));
    await expect(writeFileAtomic(join(directory, 'taken'), 'x')).rejects.toThrow();
    expect(await readdir(directory)).toEqual(['taken']);
    await expect(writeFileAtomic(join(directory, 'no', 'such'), 'x')).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });
});

describe('publishDirectory', () => {
  it('moves a whole directory, and never over one with content', async () => {
    const [staging, final] = [join(directory, '.partial-1'), join(directory, 'final')];
    await mkdir(staging);
    await writeFile(join(staging, 'f'), 'x');
    await publishDirectory(staging, final);
    expect(await readdir(directory)).toEqual(['final']);
    await mkdir(staging);
    await expect(publishDirectory(staging, final)).rejects.toThrow();
    expect(await readFile(join(final, 'f'), 'utf8')).toBe('x');
  });
});

describe('readFileBounded', () => {
  it.each([
    [0, true],
    [4, true],
    [5, false],
  ])('%d bytes of at most 4', async (sizeBytes, fits) => {
    const path = join(directory, 'f');
    await writeFile(path, Buffer.alloc(sizeBytes));
    const read = readFileBounded(path, 4);
    if (fits) expect((await read).byteLength).toBe(sizeBytes);
    else
      await expect(read).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        details: { sizeBytes, maxBytes: 4 },
      });
  });
});
