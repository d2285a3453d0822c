import { readFileSync, truncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Ext4Directory, Ext4ImageWriter } from '../../src/ext4/index.js';
import { build, debugfs, directory, EMPTY, expectClean, file, run, Scratch } from './support.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const BODY = Buffer.alloc(3 * MIB, 'growth ');

const tree = (writer: Ext4ImageWriter): Ext4Directory =>
  directory({
    f: file(writer.writeFile(BODY)),
    d: directory(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`n${i}`, file(EMPTY)]))),
  });

function blockCountOf(image: string): number {
  return Number(/^Block count: +(\d+)$/m.exec(run('dumpe2fs', ['-h', image]))?.[1]);
}

const STEPS: ReadonlyArray<readonly [from: number, to: number]> = [
  [16 * MIB, GIB],
  [130 * MIB, 64 * 130 * MIB],
  [GIB, 64 * GIB],
  [GIB, 900 * GIB],
  [2 * GIB + 12 * MIB, 128 * GIB + 5 * MIB],
  [20 * GIB, 1280 * GIB],
];

describe('an image grows', { timeout: 300_000 }, () => {
  it.each(STEPS)('from %d to %d bytes with resize2fs', (from, to) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, tree, { sizeBytes: from });
    expectClean(image);
    truncateSync(image, to);
    run('resize2fs', ['-f', image]);
    expectClean(image);
    expect(blockCountOf(image) * 4096).toBeGreaterThan(to - 16 * MIB);
    // Reserved descriptor blocks were enough: nothing had to move out of the way.
    expect(debugfs(image, 'ex /f')).toContain('1025 - ');
    debugfs(image, `dump /f ${scratch.file('dump')}`);
    expect(readFileSync(scratch.file('dump')).equals(BODY)).toBe(true);
  });

  it.each([1, 3, 5, 7])('is repaired from the copy of its superblock in group %d', (group) => {
    using scratch = new Scratch();
    const image = scratch.file('image');
    build(image, tree);
    run('dd', ['if=/dev/zero', `of=${image}`, 'bs=4096', 'count=2', 'conv=notrunc', 'status=none']);
    // e2fsck exits with 1 when it has repaired everything.
    run('sh', ['-c', `e2fsck -fy -b ${group * 32_768} -B 4096 "${image}" || [ $? -eq 1 ]`]);
    expectClean(image);
    debugfs(image, `dump /f ${scratch.file('dump')}`);
    expect(readFileSync(scratch.file('dump')).equals(BODY)).toBe(true);
  });
});
