import { mkdirSync, mkdtempSync, rmdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HashCache, hashFile } from './hash-cache.js';

describe('HashCache', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'hearth-hash-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('RR-11: does not remember a failure, and takes the epoch for an mtime like any other', async () => {
    const cache = new HashCache(join(root, 'kept'));
    const path = join(root, 'image');
    mkdirSync(path);
    utimesSync(path, 0, 0);
    await expect(cache.sha256(path)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    rmdirSync(path);
    writeFileSync(path, 'image');
    utimesSync(path, 0, 0);
    expect(await cache.sha256(path)).toBe(await hashFile(path));
  });

  it('works where it can keep nothing', async () => {
    writeFileSync(join(root, 'kept'), 'a file');
    const path = join(root, 'image');
    writeFileSync(path, 'image');
    expect(await new HashCache(join(root, 'kept')).sha256(path)).toBe(await hashFile(path));
  });

  it('hashes a file once for many who ask at once', async () => {
    const path = join(root, 'image');
    writeFileSync(path, Buffer.alloc(8 << 20, 1));
    const cache = new HashCache(join(root, 'kept'));
    const hashes = await Promise.all(Array.from({ length: 50 }, () => cache.sha256(path)));
    expect(new Set(hashes)).toEqual(new Set([await hashFile(path)]));
  });

  it('rejects with the reason of an aborted signal', async () => {
    const path = join(root, 'image');
    writeFileSync(path, 'image');
    const reason = new Error('stop');
    await expect(hashFile(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
