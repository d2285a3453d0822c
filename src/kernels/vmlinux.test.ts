import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildBzImage, buildElf, buildVmlinux } from '../../test/kernels/elf-fixture.js';
import { HearthError } from '../errors/index.js';
import { extractVmlinux, kernelRelease } from './vmlinux.js';

const RELEASE = '6.1.0-9-cloud-amd64';
const vmlinux = buildVmlinux(RELEASE);

/** A legacy LZ4 frame of literals alone; long enough for more than one length byte. */
function lz4(bytes: Buffer): Buffer {
  const lengths: number[] = [];
  let rest = bytes.byteLength - 15;
  for (; rest >= 255; rest -= 255) lengths.push(255);
  const block = Buffer.concat([Buffer.from([0xf0, ...lengths, rest]), bytes]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(block.byteLength);
  return Buffer.concat([Buffer.from([0x02, 0x21, 0x4c, 0x18]), size, block]);
}

describe('extractVmlinux', () => {
  it('gives a vmlinux back as it is', async () => {
    expect(await extractVmlinux(vmlinux)).toBe(vmlinux);
  });

  it('expands LZ4, with the size appended', async () => {
    expect(await extractVmlinux(buildBzImage(lz4(vmlinux), vmlinux.byteLength))).toEqual(
      new Uint8Array(vmlinux),
    );
  });

  it('expands gzip, which ends with the size itself', async () => {
    const file = buildBzImage(gzipSync(vmlinux), vmlinux.byteLength, false);
    expect(Buffer.from(await extractVmlinux(file)).equals(vmlinux)).toBe(true);
  });

  const wrongGzip = gzipSync(vmlinux);
  wrongGzip.writeUInt32LE(vmlinux.byteLength + 1, wrongGzip.byteLength - 4);
  const refused: ReadonlyArray<[name: string, file: Buffer, code: string]> = [
    ['nothing', Buffer.alloc(0), 'KERNEL_INVALID'],
    ['a script', Buffer.from('#!/bin/sh\n'), 'KERNEL_INVALID'],
    ['a kernel without PVH entry', buildElf({ text: 'Linux version 1.0 (x)' }), 'KERNEL_UNSUPPORTED'],
    ['an unknown compression', buildBzImage(Buffer.from('????????'), 8), 'KERNEL_UNSUPPORTED'],
    ['gzip of another size', buildBzImage(wrongGzip, vmlinux.byteLength, false), 'COMPRESSION_INVALID'],
    ['LZ4 of another size', buildBzImage(lz4(vmlinux), vmlinux.byteLength + 1), 'COMPRESSION_INVALID'],
    ['a size of 4 GiB', buildBzImage(lz4(vmlinux), 0xffffffff), 'CONTENT_TOO_LARGE'],
    ['damaged gzip', buildBzImage(Buffer.from('1f8b08ffffffff', 'hex'), 100), 'COMPRESSION_INVALID'],
  ];
  it.each(refused)('refuses %s', async (_name, file, code) => {
    await expect(extractVmlinux(file)).rejects.toMatchObject({ code });
  });

  it('refuses an older boot protocol and a payload outside the file', async () => {
    const old = buildBzImage(lz4(vmlinux), vmlinux.byteLength);
    old.writeUInt16LE(0x0207, 0x206);
    await expect(extractVmlinux(old)).rejects.toMatchObject({ code: 'KERNEL_INVALID' });
    const outside = buildBzImage(lz4(vmlinux), vmlinux.byteLength);
    outside.writeUInt32LE(outside.byteLength, 0x24c);
    await expect(extractVmlinux(outside)).rejects.toMatchObject({ code: 'KERNEL_INVALID' });
  });

  it('survives any change of a bzImage', async () => {
    const file = buildBzImage(lz4(vmlinux), vmlinux.byteLength);
    const change = fc.tuple(fc.nat(file.byteLength - 1), fc.nat(255));
    const allowed = ['KERNEL_INVALID', 'KERNEL_UNSUPPORTED', 'COMPRESSION_INVALID', 'CONTENT_TOO_LARGE'];
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const changed = Buffer.from(file);
        for (const [offset, byte] of changes) changed[offset] = byte;
        try {
          await extractVmlinux(changed);
        } catch (error) {
          expect(allowed).toContain(HearthError.is(error) ? error.code : error);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('kernelRelease', () => {
  it('reads the banner', () => {
    expect(kernelRelease(vmlinux)).toBe(RELEASE);
  });

  it.each([
    '',
    'Linux version ',
    'Linux version ../../etc (x)',
    'Linux version 6.1.0',
    'Linux version 6/1 (x)',
  ])('refuses %j', (text) => {
    expect(() => kernelRelease(Buffer.from(text))).toThrow(
      expect.objectContaining({ code: 'KERNEL_INVALID' }),
    );
  });
});
