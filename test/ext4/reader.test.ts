/** The reader against file systems that others wrote, and against what others see in them. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { type Ext4Inode, Ext4Reader } from '../../src/ext4/index.js';
import { build, debugfs, device, directory, run, Scratch, special, symlink } from './support.js';

interface Opened extends AsyncDisposable {
  readonly files: Ext4Reader;
}

async function openImage(path: string): Promise<Opened> {
  const handle: FileHandle = await open(path, 'r');
  const sizeBytes = (await handle.stat()).size;
  const read = async (into: Uint8Array, position: number): Promise<void> => {
    await handle.read(into, 0, into.byteLength, position);
  };
  try {
    const files = await Ext4Reader.open({ sizeBytes, read });
    return { files, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function find(files: Ext4Reader, path: string): Promise<Ext4Inode> {
  let here = await files.root();
  for (const part of path.split('/').filter((name) => name !== '')) {
    let found: number | undefined;
    for await (const { name, inode } of files.entries(here)) if (name === part) found = inode;
    if (found === undefined) throw new Error(`no ${part} of ${path}`);
    here = await files.inode(found);
  }
  return here;
}

async function bytesOf(files: Ext4Reader, inode: Ext4Inode): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of files.content(inode)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

async function namesIn(files: Ext4Reader, inode: Ext4Inode): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of files.entries(inode)) names.push(name);
  return names.sort();
}

function made(scratch: Scratch, options: readonly string[]): string {
  const source = scratch.file('source');
  mkdirSync(`${source}/d/e`, { recursive: true });
  writeFileSync(`${source}/d/f`, Buffer.alloc(1_500_000, 'content '));
  linkSync(`${source}/d/f`, `${source}/d/again`);
  writeFileSync(`${source}/sparse`, 'begin');
  truncateSync(`${source}/sparse`, 3_000_000);
  symlinkSync('f', `${source}/d/short`);
  symlinkSync('x/'.repeat(100), `${source}/d/long`);
  chmodSync(`${source}/d/f`, 0o4751);
  mkdirSync(`${source}/many`);
  for (let count = 0; count < 700; count += 1) writeFileSync(`${source}/many/file-${count}`, '');
  const image = scratch.file('image');
  execFileSync('mkfs.ext4', ['-q', '-F', '-d', source, ...options, image, '64M'], { stdio: 'ignore' });
  return image;
}

describe('file systems of mke2fs', () => {
  it.each([
    ['of the usual kind', ['-b', '4096']],
    ['with blocks of 1 KiB', ['-b', '1024']],
    ['with blocks of 2 KiB and small inodes', ['-b', '2048', '-I', '128']],
    ['without 64 bits, sums and flexible groups', ['-O', '^64bit,^metadata_csum,^flex_bg']],
    ['with descriptors in their groups', ['-b', '1024', '-O', 'meta_bg,^resize_inode']],
    ['without a journal', ['-O', '^has_journal']],
  ])('%s', async (_name, options) => {
    using scratch = new Scratch();
    const image = made(scratch, options);
    await using opened = await openImage(image);
    const { files } = opened;
    const file = await find(files, 'd/f');
    expect(file).toMatchObject({ kind: 'file', mode: 0o4751, linkCount: 2, sizeBytes: 1_500_000 });
    expect((await bytesOf(files, file)).equals(readFileSync(scratch.file('source/d/f')))).toBe(true);
    expect((await find(files, 'd/again')).number).toBe(file.number);
    const sparse = await bytesOf(files, await find(files, 'sparse'));
    expect(sparse.equals(readFileSync(scratch.file('source/sparse')))).toBe(true);
    expect(await files.target(await find(files, 'd/short'))).toBe('f');
    expect(await files.target(await find(files, 'd/long'))).toBe('x/'.repeat(100));
    expect(await namesIn(files, await find(files, 'many'))).toHaveLength(700);
    expect(await namesIn(files, await find(files, 'd'))).toEqual(['again', 'e', 'f', 'long', 'short']);
  });

  it.each([
    ['files within inodes', ['-O', 'inline_data']],
    ['block maps', ['-O', '^extents,^64bit']],
  ])('refuses %s rather than misread them', async (_name, options) => {
    using scratch = new Scratch();
    const image = made(scratch, options);
    const read = async (): Promise<Buffer> => {
      await using opened = await openImage(image);
      return await bytesOf(opened.files, await find(opened.files, 'd/f'));
    };
    await expect(read()).rejects.toMatchObject({ code: 'FILE_SYSTEM_UNSUPPORTED' });
  });
});

describe('file systems of hearth', () => {
  it('come back as they were written', async () => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    const xattrs = new Map([
      ['user.long', Buffer.alloc(3000, 'v')],
      ['security.capability', Buffer.from([1, 0, 0, 2, 0, 32, 0, 0])],
      [
        'system.posix_acl_access',
        Buffer.from(
          '0200000001000600ffffffff0200060064000000040004 00ffffffff10000700ffffffff20000400ffffffff'.replace(
            ' ',
            '',
          ),
          'hex',
        ),
      ],
    ]);
    build(image, () =>
      directory({
        d: directory(
          { '\xff\xfe': symlink('target') },
          { xattrs, uid: 70_000, gid: 4_000_000_000, mode: 0o1777 },
        ),
        old: special('fifo', { mtime: { seconds: -5, nanoseconds: 7 } }),
        late: special('socket', { mtime: { seconds: 2 ** 33, nanoseconds: 999_999_999 } }),
        small: device('character', 1, 3),
        large: device('block', 259, 70_000),
      }),
    );
    await using opened = await openImage(image);
    const { files } = opened;
    const found = await find(files, 'd');
    expect(found).toMatchObject({ kind: 'directory', uid: 70_000, gid: 4_000_000_000, mode: 0o1777 });
    const seen = [...(await files.xattrs(found))].map(([name, value]) => [name, Buffer.from(value)]);
    expect(new Map(seen as [string, Buffer][])).toEqual(xattrs);
    expect(await namesIn(files, found)).toEqual(['\xff\xfe']);
    expect((await find(files, 'old')).mtime).toEqual({ seconds: -5, nanoseconds: 7 });
    expect((await find(files, 'late')).mtime).toEqual({ seconds: 2 ** 33, nanoseconds: 999_999_999 });
    expect(await find(files, 'small')).toMatchObject({ kind: 'character', major: 1, minor: 3 });
    expect(await find(files, 'large')).toMatchObject({ kind: 'block', major: 259, minor: 70_000 });
  });
});

describe('a journal that was not replayed', () => {
  it.each([
    ['as it is made', ['-b', '4096'], true],
    // Of a journal without sums e2fsck does not take what debugfs has taken back.
    ['without sums and 64 bits', ['-b', '4096', '-O', '^64bit,^metadata_csum'], false],
  ])('is seen as e2fsck replays it: %s', async (_name, options, revokes) => {
    using scratch = new Scratch();
    const image = made(scratch, options);
    const blocks = debugfs(image, 'blocks /d/f').split('\n').at(-2)?.trim().split(' ') ?? [];
    const [first, second, third, fourth] = blocks;
    const write = (name: string, bytes: Buffer): string => {
      writeFileSync(scratch.file(name), bytes);
      return scratch.file(name);
    };
    const kept = write('kept', Buffer.alloc(4096, 'kept'));
    const taken = write('taken', Buffer.alloc(4096, 'taken back'));
    // What looks like a block of the journal is marked there.
    const magic = write('magic', Buffer.concat([Buffer.from('c03b3998', 'hex'), Buffer.alloc(4092, 'm')]));
    const script = [
      'jo -c',
      `jw -b ${first} ${kept}`,
      `jw -b ${second} ${taken}`,
      `jw -b ${third} ${magic}`,
      ...(revokes ? [`jw -r ${second}`] : []),
      `jw -b ${fourth} -c ${kept}`,
      'jc',
    ];
    run('debugfs', ['-w', '-f', '-', image], script.join('\n'));
    expect(run('dumpe2fs', ['-h', image])).toContain('needs_recovery');
    const replayed = scratch.file('replayed');
    copyFileSync(image, replayed);
    try {
      execFileSync('e2fsck', ['-fy', replayed], { stdio: 'ignore' });
    } catch (error) {
      // 1: it has mended something, the journal.
      expect((error as { status: number }).status).toBe(1);
    }
    await using dirty = await openImage(image);
    await using clean = await openImage(replayed);
    const seen = await bytesOf(dirty.files, await find(dirty.files, 'd/f'));
    const expected = await bytesOf(clean.files, await find(clean.files, 'd/f'));
    expect(seen.subarray(0, 4096).toString()).toMatch(/^(?:kept){1024}$/);
    expect(seen.subarray(4096, 4106).toString()).toBe(revokes ? 'content co' : 'taken back');
    expect(seen.subarray(8192, 8196).toString('hex')).toBe('c03b3998');
    expect(seen.subarray(12_288, 12_298).toString()).toBe('content co');
    expect(seen.equals(expected)).toBe(true);
  });
});

describe('damage', () => {
  const patched = (scratch: Scratch, offset: number, bytes: Buffer): string => {
    const image = made(scratch, []);
    const fd = readFileSync(image);
    bytes.copy(fd, offset);
    writeFileSync(image, fd);
    return image;
  };

  it.each([
    ['no superblock', 1024 + 56, Buffer.from([0, 0])],
    ['more blocks than the disk', 1024 + 4, Buffer.from([0xff, 0xff, 0xff, 0x7f])],
    ['blocks of 2^42 bytes', 1024 + 24, Buffer.from([32, 0, 0, 0])],
    ['no inodes in a group', 1024 + 40, Buffer.alloc(4)],
    ['inodes of three bytes', 1024 + 88, Buffer.from([3, 0])],
    ['more inodes than groups have', 1024, Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ])('%s is told by a code', async (_name, offset, bytes) => {
    using scratch = new Scratch();
    const image = patched(scratch, offset, bytes);
    await expect(openImage(image)).rejects.toMatchObject({ code: 'FILE_SYSTEM_INVALID' });
  });

  it('features that nobody knows are told by a code', async () => {
    using scratch = new Scratch();
    const image = patched(scratch, 1024 + 96 + 2, Buffer.from([0x01, 0x80]));
    await expect(openImage(image)).rejects.toMatchObject({ code: 'FILE_SYSTEM_UNSUPPORTED' });
  });
});
