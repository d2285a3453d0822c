/** Disks read from the host, against what QEMU's own tools see in them. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskReader } from '../../src/disks/index.js';

const MIB = 1024 * 1024;
let directory: string;
let base: string;
let top: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-reader-'));
  base = join(directory, 'base');
  top = join(directory, 'top');
  await writeFile(base, randomBytes(4 * MIB));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

const image = (...args: string[]): Buffer => execFileSync('qemu-img', args);
const write = (path: string, ...commands: string[]): void => {
  execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path]);
};

async function wholeOf(disk: DiskReader): Promise<Buffer> {
  const bytes = Buffer.alloc(disk.sizeBytes, 0xee);
  // In pieces that fit nothing.
  for (let at = 0; at < bytes.byteLength; at += 100_003) {
    await disk.read(bytes.subarray(at, Math.min(at + 100_003, bytes.byteLength)), at);
  }
  return bytes;
}

describe.each([
  ['clusters of 64 KiB', '64k'],
  ['clusters of 4 KiB', '4k'],
  ['clusters of 2 MiB', '2M'],
])('an overlay with %s', (_name, clusters) => {
  it('reads as QEMU reads it, also over another overlay', async () => {
    const middle = join(directory, 'middle');
    const cluster = `cluster_size=${clusters}`;
    image('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, '-o', cluster, middle, '6M');
    write(middle, 'write -P 0x11 70000 5000', 'write -z 1M 64k', 'write -P 0x33 5M 4096');
    image('create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', middle, '-o', cluster, top, '8M');
    write(top, 'write -P 0x22 72000 100', 'write -P 0x44 7M 512');
    image('convert', '-f', 'qcow2', '-O', 'raw', top, join(directory, 'flat'));
    await using disk = await DiskReader.open(top, 'qcow2');
    expect(disk.sizeBytes).toBe(8 * MIB);
    expect((await wholeOf(disk)).equals(await readFile(join(directory, 'flat')))).toBe(true);
  });
});

describe('isBase', () => {
  it('holds where nobody has written, and nowhere else', async () => {
    image('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, top);
    write(top, 'write -P 1 1M 64k');
    await using disk = await DiskReader.open(top, 'qcow2');
    await using lower = await DiskReader.open(base, 'raw');
    expect(disk.baseIdentity).toBe(lower.baseIdentity);
    expect(await disk.isBase(0, MIB)).toBe(true);
    expect(await disk.isBase(MIB, 1)).toBe(false);
    expect(await disk.isBase(MIB - 1, 2)).toBe(false);
    expect(await disk.isBase(MIB + 64 * 1024, MIB)).toBe(true);
    expect(await lower.isBase(0, 4 * MIB)).toBe(true);
  });
});

describe('what is refused', () => {
  const overlay = (): void => {
    image('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, top);
  };
  const patch = async (offset: number, bytes: number[]): Promise<void> => {
    const file = await open(top, 'r+');
    await file.write(Buffer.from(bytes), 0, bytes.length, offset);
    await file.close();
  };

  it.each([
    ['a corrupt image', 79, [2]],
    ['an external data file', 79, [4]],
    ['encryption', 35, [1]],
    ['a huge table', 36, [0x7f, 0xff, 0xff, 0xff]],
    ['a path of its backing file beyond its head', 8, [0, 0, 0, 0, 0x7f, 0, 0, 0]],
  ])('%s', async (_name, offset, bytes) => {
    overlay();
    await patch(offset, bytes);
    await expect(DiskReader.open(top, 'qcow2')).rejects.toMatchObject({ code: 'DISK_FORMAT_INVALID' });
  });

  it('an overlay that does not say the format of what it reads from', async () => {
    image('create', '-q', '-f', 'qcow2', top, '1M');
    overlay();
    const head = await readFile(top);
    const at = head.indexOf(Buffer.from('e2792aca', 'hex'));
    await patch(at, [0x11, 0x11, 0x11, 0x11]);
    await expect(DiskReader.open(top, 'qcow2')).rejects.toMatchObject({ code: 'DISK_FORMAT_INVALID' });
  });

  it('an overlay over itself', async () => {
    image('create', '-q', '-f', 'qcow2', top, '1M');
    image('rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', top, top);
    await expect(DiskReader.open(top, 'qcow2')).rejects.toMatchObject({ code: 'DISK_FORMAT_INVALID' });
  });

  it('compressed clusters', async () => {
    image('convert', '-f', 'raw', '-c', '-O', 'qcow2', base, top);
    const compressible = join(directory, 'zeros');
    await writeFile(compressible, Buffer.alloc(MIB, 'x'));
    image('convert', '-f', 'raw', '-c', '-O', 'qcow2', compressible, top);
    await using disk = await DiskReader.open(top, 'qcow2');
    await expect(wholeOf(disk)).rejects.toMatchObject({ code: 'DISK_FORMAT_INVALID' });
  });

  it('nothing of a file that was cut: the rest is zeros', async () => {
    overlay();
    write(top, 'write -P 9 0 64k');
    await truncate(top, (await readFile(top)).byteLength - 4096);
    await using disk = await DiskReader.open(top, 'qcow2');
    const bytes = await wholeOf(disk);
    expect(bytes.subarray(61_440, 65_536).every((byte) => byte === 0)).toBe(true);
    expect(bytes[0]).toBe(9);
  });
});
