/** Our readers and writers against the programs that define their formats. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { writeCpio } from '../../src/kernels/cpio.js';
import { expandLz4Legacy } from '../../src/kernels/lz4-legacy.js';
import { extractVmlinux } from '../../src/kernels/vmlinux.js';
import { buildBzImage, buildVmlinux } from './elf-fixture.js';

const MIB = 1024 * 1024;

/** Bytes of text-like, random and constant stretches, so that a compressor uses all it has. */
function mixed(sizeBytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let total = 0, round = 0; total < sizeBytes; round += 1) {
    const part = [
      Buffer.from(`line ${round} of many lines, all alike\n`.repeat(50)),
      randomBytes(300),
      Buffer.alloc(1000 + (round % 700), round),
    ][round % 3];
    parts.push(part ?? Buffer.alloc(0));
    total += part?.byteLength ?? 0;
  }
  return Buffer.concat(parts).subarray(0, sizeBytes);
}

describe('expandLz4Legacy', () => {
  it.each([1, 15, 64 * 1024, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB])(
    'expands %i bytes as lz4 compressed them',
    (sizeBytes) => {
      const bytes = mixed(sizeBytes);
      for (const level of ['-1', '-9']) {
        const frame = execFileSync('lz4', ['-l', level, '-c', '-'], { input: bytes, maxBuffer: 64 * MIB });
        expect(Buffer.from(expandLz4Legacy(frame, sizeBytes)).equals(bytes)).toBe(true);
      }
    },
  );
});

describe('extractVmlinux', () => {
  const vmlinux = Buffer.concat([buildVmlinux('6.1.0-9'), mixed(200_000)]);
  it.each([
    ['lz4', ['-l', '-c', '-']],
    ['xz', ['--check=crc32', '-c']],
    ['xz', ['--format=lzma', '-c']],
    ['bzip2', ['-c']],
    ['zstd', ['-22', '--ultra', '-q', '-c']],
  ])('expands a kernel compressed by %s %j', async (tool, args) => {
    const payload = execFileSync(tool, args, { input: vmlinux });
    const file = buildBzImage(payload, vmlinux.byteLength);
    expect(Buffer.from(await extractVmlinux(file)).equals(vmlinux)).toBe(true);
    const wrong = buildBzImage(payload, vmlinux.byteLength + 1);
    await expect(extractVmlinux(wrong)).rejects.toMatchObject({ kind: 'integrity' });
    const cut = buildBzImage(payload.subarray(0, payload.byteLength / 2), vmlinux.byteLength);
    await expect(extractVmlinux(cut)).rejects.toMatchObject({ kind: 'integrity' });
  });
});

describe('writeCpio', () => {
  it('is understood by GNU cpio', () => {
    const archive = writeCpio([
      { kind: 'directory', path: 'd', mode: 0o755 },
      { kind: 'character-device', path: 'd/console', mode: 0o600, major: 5, minor: 1 },
      { kind: 'file', path: 'd/f', mode: 0o640, data: Buffer.from('hello') },
    ]);
    const listed = spawnSync('cpio', ['--list', '--quiet', '--verbose', '--numeric-uid-gid'], {
      input: archive,
    });
    expect(listed.error).toBeUndefined();
    const lines = listed.stdout.toString().replace(/ +/g, ' ').trim().split('\n');
    expect(lines.map((line) => line.split(' ').slice(0, 5).join(' '))).toEqual([
      'drwxr-xr-x 2 0 0 0',
      'crw------- 1 0 0 5,',
      '-rw-r----- 1 0 0 5',
    ]);
  });
});
