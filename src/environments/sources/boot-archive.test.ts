import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BootArchiveExtractor } from './boot-archive.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hearth-archive-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Entry {
  readonly name: string;
  readonly type?: string;
  readonly link?: string;
  readonly body?: string | Buffer;
  /** What the header says, when that is not the body's length. */
  readonly sizeBytes?: number;
}

/** One ustar record. */
function record({ name, type = '0', link = '', body = '', sizeBytes }: Entry): Buffer {
  const bytes = Buffer.from(body as string);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100, 'latin1');
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${(sizeBytes ?? bytes.byteLength).toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(link, 157, 100, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.byteLength % 512)) % 512)]);
}

function archive(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.map(record), Buffer.alloc(1024)]);
}

const GOOD: readonly Entry[] = [
  { name: 'vmlinux', body: 'kernel' },
  { name: 'rootfs.ext4', body: 'rootfs' },
];

async function extract(
  bytes: Buffer,
  chunkBytes = bytes.byteLength,
  maxContentBytes?: number,
): Promise<string[]> {
  const extractor = new BootArchiveExtractor(
    directory,
    maxContentBytes === undefined ? {} : { maxContentBytes },
  );
  try {
    for (let at = 0; at < bytes.byteLength; at += chunkBytes) {
      await extractor.push(bytes.subarray(at, at + chunkBytes));
    }
    await extractor.finishArchive();
  } finally {
    await extractor.close();
  }
  return [...extractor.files].sort();
}

describe('BootArchiveExtractor', () => {
  it.each([1, 7, 512, 100_000])('writes the artifacts, in chunks of %i bytes', async (chunkBytes) => {
    expect(await extract(archive(GOOD), chunkBytes)).toEqual(['rootfs.ext4', 'vmlinux']);
    expect(readFileSync(join(directory, 'vmlinux'), 'utf8')).toBe('kernel');
    expect(readFileSync(join(directory, 'rootfs.ext4'), 'utf8')).toBe('rootfs');
  });

  it('takes names below ./, the root itself, an initrd under both names, and manifests', async () => {
    const files = await extract(
      archive([
        { name: './', type: '5' },
        { name: './vmlinux', body: 'k' },
        { name: './rootfs.ext4', body: 'r' },
        { name: 'initrd.img', body: 'i' },
        { name: 'manifest.json', body: '{}' },
      ]),
    );
    expect(files).toEqual(['initrd', 'rootfs.ext4', 'vmlinux']);
    expect(readdirSync(directory).sort()).toEqual(files);
  });

  it('keeps zeros as holes', async () => {
    const body = Buffer.alloc(8 * 1024 ** 2);
    body.write('end', body.byteLength - 3);
    await extract(archive([{ name: 'rootfs.ext4', body }]), 65_536);
    const found = statSync(join(directory, 'rootfs.ext4'));
    expect(found.size).toBe(body.byteLength);
    expect(found.blocks * 512).toBeLessThan(1024 ** 2);
    expect(readFileSync(join(directory, 'rootfs.ext4')).equals(body)).toBe(true);
  });

  const hostile: [name: string, entries: readonly Entry[], code: string][] = [
    ['a path upwards', [{ name: '../vmlinux', body: 'x' }], 'ARCHIVE_INVALID'],
    ['a path upwards in the middle', [{ name: 'a/../vmlinux', body: 'x' }], 'ARCHIVE_INVALID'],
    ['an absolute path', [{ name: '/vmlinux', body: 'x' }], 'ARCHIVE_INVALID'],
    ['a directory', [{ name: 'vmlinux/', type: '5' }], 'ARCHIVE_INVALID'],
    ['a file below a directory', [{ name: 'boot/vmlinux', body: 'x' }], 'ARCHIVE_INVALID'],
    ['a symbolic link', [{ name: 'vmlinux', type: '2', link: '/etc/passwd' }], 'ARCHIVE_INVALID'],
    ['a hard link', [{ name: 'vmlinux', type: '1', link: '/etc/passwd' }], 'ARCHIVE_INVALID'],
    ['a device', [{ name: 'vmlinux', type: '3' }], 'ARCHIVE_INVALID'],
    ['a fifo', [{ name: 'rootfs.ext4', type: '6' }], 'ARCHIVE_INVALID'],
    ['something else', [...GOOD, { name: 'README', body: 'x' }], 'ARCHIVE_INVALID'],
    ['an artifact twice', [...GOOD, { name: './vmlinux', body: 'x' }], 'ARCHIVE_INVALID'],
    ['an initrd under two names', [{ name: 'initrd' }, { name: 'initrd.img' }], 'ARCHIVE_INVALID'],
    [
      'many entries',
      Array.from({ length: 65 }, () => ({ name: 'manifest.json', body: 'x' })),
      'ARCHIVE_INVALID',
    ],
    ['a name of the prototype', [{ name: 'constructor', body: 'x' }], 'ARCHIVE_INVALID'],
  ];
  it.each(hostile)('refuses %s', async (_name, entries, code) => {
    await expect(extract(archive(entries))).rejects.toMatchObject({ code });
    for (const file of readdirSync(directory)) expect(['vmlinux', 'rootfs.ext4', 'initrd']).toContain(file);
  });

  it('refuses more content than allowed by the header, before it is written', async () => {
    expect(await extract(archive([{ name: 'vmlinux', body: '12345678' }]), 4096, 8)).toEqual(['vmlinux']);
    await expect(
      extract(archive([{ name: 'rootfs.ext4', body: '123456789' }]), 4096, 8),
    ).rejects.toMatchObject({
      code: 'CONTENT_TOO_LARGE',
      details: { limitBytes: 8 },
    });
    const claims = record({ name: 'rootfs.ext4', sizeBytes: 0o77777777777 });
    await expect(extract(claims, 512, 1024)).rejects.toMatchObject({ code: 'CONTENT_TOO_LARGE' });
  });

  it('refuses an archive that ends early, at every length', async () => {
    const whole = archive([{ name: 'vmlinux', body: 'k'.repeat(600) }]);
    for (const length of [100, 511, 513, 1000, 1111]) {
      rmSync(join(directory, 'vmlinux'), { force: true });
      await expect(extract(whole.subarray(0, length))).rejects.toMatchObject({ code: 'TAR_TRUNCATED' });
    }
  });

  it('takes further archives, one after the other', async () => {
    const extractor = new BootArchiveExtractor(directory);
    for (const entry of GOOD) {
      await extractor.push(archive([entry]));
      await extractor.finishArchive();
    }
    await extractor.close();
    expect([...extractor.files].sort()).toEqual(['rootfs.ext4', 'vmlinux']);
  });
});
