import { mkdtemp, open, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createExt4Image, type Ext4Directory } from '../ext4/index.js';
import { digestRootfs, parseRootfsDigest, verifyRootfs } from './rootfs-digest.js';

let directory: string;
let path: string;
let bodyBlock: number;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-digest-'));
  path = join(directory, 'image');
  using writer = createExt4Image(path);
  const mtime = { seconds: 0, nanoseconds: 0 };
  const base = { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: undefined };
  const data = writer.writeFile(Buffer.alloc(10_000, 'x'));
  bodyBlock = data.extents[1] ?? 0;
  const root: Ext4Directory = {
    kind: 'directory',
    ...base,
    children: new Map([['f', { kind: 'file', ...base, data }]]),
  };
  writer.finish(root, { uuid: new Uint8Array(16), hashSeed: new Uint8Array(16), createdAt: mtime });
});
afterAll(() => rm(directory, { recursive: true }));

async function poke(position: number, text: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from(text), 0, text.length, position);
  await file.close();
}

describe('digestRootfs', () => {
  it('is the same again, and changes with every block in use', async () => {
    const digest = await digestRootfs(path);
    expect(parseRootfsDigest(digest)).toBe(digest);
    await verifyRootfs(path, digest);
    for (const position of [1024 + 0x78, bodyBlock * 4096 + 5000]) {
      await poke(position, 'y');
      await expect(verifyRootfs(path, digest)).rejects.toMatchObject({
        code: 'ROOTFS_DIGEST_MISMATCH',
        details: { expected: digest, path },
      });
      await poke(position, position > 4096 ? 'x' : '\0');
      await verifyRootfs(path, digest);
    }
  });

  it('does not look at what the file system does not use, but at the size', async () => {
    const digest = await digestRootfs(path);
    await poke(900 * 1024 * 1024, 'left over');
    await verifyRootfs(path, digest);
    await truncate(path, 1024 ** 3 + 4096);
    await expect(verifyRootfs(path, digest)).rejects.toMatchObject({ code: 'ROOTFS_DIGEST_MISMATCH' });
    await truncate(path, 1024 ** 3);
    await verifyRootfs(path, digest);
  });

  it('refuses what is no complete image', async () => {
    await expect(digestRootfs(join(directory, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    const digest = await digestRootfs(path);
    await truncate(path, 1024 ** 3 - 4096);
    await expect(verifyRootfs(path, digest)).rejects.toMatchObject({ code: 'ROOTFS_DIGEST_MISMATCH' });
    await truncate(path, 100);
    await expect(digestRootfs(path)).rejects.toMatchObject({ code: 'ROOTFS_DIGEST_MISMATCH' });
  });

  it('looks at the last block of a group, too', async () => {
    const full = join(directory, 'full');
    using writer = createExt4Image(full);
    const mtime = { seconds: 0, nanoseconds: 0 };
    const base = { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: undefined };
    const data = writer.writeFile(Buffer.alloc(140_000_000, 'x'));
    const root: Ext4Directory = {
      kind: 'directory',
      ...base,
      children: new Map([['f', { kind: 'file', ...base, data }]]),
    };
    writer.finish(root, { uuid: new Uint8Array(16), hashSeed: new Uint8Array(16), createdAt: mtime });
    const digest = await digestRootfs(full);
    const file = await open(full, 'r+');
    await file.write(Buffer.from('y'), 0, 1, 32_767 * 4096 + 100);
    await file.close();
    await expect(verifyRootfs(full, digest)).rejects.toMatchObject({ code: 'ROOTFS_DIGEST_MISMATCH' });
  });

  it('stops when told to', async () => {
    const reason = new Error('enough');
    await expect(digestRootfs(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it.each(['', 'sha256:00', 'ext4-sha256:00', `ext4-sha256:${'g'.repeat(64)}`])(
    'refuses %j as a digest',
    (text) => {
      expect(() => parseRootfsDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }));
    },
  );
});
