import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, openSync, readdirSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CloneRung, cloneDisk, hashFile } from '../../src/disks/index.js';
import { CAN_MOUNT, type Mounted, mountImage } from './mount.js';
import { type Bench, openBench } from './support.js';

const MIB = 1024 ** 2;

/** 64 MiB with 8 MiB of content in eight places. */
function fillTemplate(path: string): void {
  const file = openSync(path, 'w');
  for (let i = 0; i < 8; i += 1) writeSync(file, Buffer.alloc(MIB, i + 1), 0, MIB, i * 8 * MIB);
  ftruncateSync(file, 64 * MIB);
  closeSync(file);
}

function openTemplate(parent?: string): { bench: Bench; template: string } {
  const bench = openBench(parent);
  const template = bench.putTemplate('debian', '');
  fillTemplate(template);
  return { bench, template };
}

/** As a VM would: changes a disk from end to end. */
function scribble(path: string, format: 'raw' | 'qcow2'): void {
  execFileSync('qemu-io', ['-f', format, '-c', 'write -P 170 0 4M', '-c', 'write -P 170 60M 4M', path]);
}

describe.runIf(CAN_MOUNT).each(['ext4', 'xfs', 'btrfs'] as const)('on %s (needs root)', (type) => {
  let mounted: Mounted;
  beforeAll(() => {
    mounted = mountImage(type, 400);
  });
  afterAll(() => mounted?.unmount());
  const reflinks = type !== 'ext4';

  it('RR-20 RR-21: a raw disk is a reflink, or else a sparse copy', async () => {
    const { bench, template } = openTemplate(mounted.path);
    const clone = await bench.registry.cloneForVm('vm', 'debian');
    expect(clone.rung).toBe(reflinks ? 'reflink' : 'sparse-copy');
    expect(await hashFile(clone.path)).toBe(await hashFile(template));
    expect(statSync(clone.path).blocks * 512).toBeLessThan(10 * MIB);
  });

  it('a disk in any format is a reflink, or else an overlay', async () => {
    const { bench } = openTemplate(mounted.path);
    const clone = await bench.registry.cloneForVm('vm', 'debian', { format: 'auto' });
    expect(clone.rung).toBe(reflinks ? 'reflink' : 'overlay');
  });

  it('a disk for reading is a reflink, or else a hard link', async () => {
    const { bench } = openTemplate(mounted.path);
    const clone = await bench.registry.cloneForVm('vm', 'debian', { readOnly: true });
    expect(clone.rung).toBe(reflinks ? 'reflink' : 'hardlink');
  });

  const writable: CloneRung[] = reflinks ? ['reflink', 'overlay', 'sparse-copy'] : ['overlay', 'sparse-copy'];
  it.each(writable)('by %s the template stays as it is while the clone is written to', async (rung) => {
    const { bench, template } = openTemplate(mounted.path);
    const before = await hashFile(template);
    const clone = await bench.registry.cloneForVm('vm', 'debian', { format: 'auto', rungs: [rung] });
    scribble(clone.path, clone.format);
    const other = await bench.registry.cloneForVm('other', 'debian', { format: 'auto', rungs: [rung] });
    expect(await hashFile(template)).toBe(before);
    const read = ['-f', other.format, '-c', 'read -P 1 0 1M', '-c', 'read -P 0 1M 7M', other.path];
    expect(execFileSync('qemu-io', read).toString()).not.toMatch(/failed/i);
  });

  it('grows a real ext4, fresh and existing', async () => {
    const bench = openBench(mounted.path);
    const template = bench.putTemplate('debian', '');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', template, '16M']);
    const registry = bench.another({ resize2fsPath: 'resize2fs' });
    await registry.cloneForVm('existing', 'debian');
    for (const vmId of ['fresh', 'existing']) {
      const clone = await registry.cloneForVmWithSize(vmId, 'debian', 128 * MIB);
      expect(clone).toMatchObject({ sizeBytes: 128 * MIB, growth: 'offline' });
      execFileSync('e2fsck', ['-fn', clone.path], { stdio: 'pipe' });
      const dump = execFileSync('dumpe2fs', ['-h', clone.path], { stdio: 'pipe' }).toString();
      expect(/^Block count:\s+(\d+)/m.exec(dump)?.[1]).toBe(String((128 * MIB) / 4096));
    }
  });

  it('a template on another file system is copied, never linked', async () => {
    const { template } = openTemplate();
    const bench = openBench(mounted.path);
    const path = join(bench.root, 'disk');
    const clone = await cloneDisk(template, path, { format: 'raw', readOnly: true });
    expect(clone.rung).toBe('sparse-copy');
    expect(await hashFile(path)).toBe(await hashFile(template));
  });
});

describe.runIf(CAN_MOUNT)('on a file system in trouble (needs root)', () => {
  let mounted: Mounted;
  beforeAll(() => {
    mounted = mountImage('ext4', 32);
  });
  afterAll(() => mounted?.unmount());

  it('too full for a copy: says what is needed before writing anything', async () => {
    const { bench, template } = openTemplate();
    execFileSync('fallocate', ['-l', '22M', join(mounted.path, 'ballast')]);
    const registry = bench.another({ clonesDir: join(mounted.path, 'clones') });
    await expect(registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({
      code: 'DISK_FULL',
      details: { neededBytes: statSync(template).blocks * 512, availableBytes: expect.any(Number) },
    });
    expect(await registry.clones()).toEqual([]);
    expect(readdirSync(join(mounted.path, 'clones/.staging'))).toEqual([]);
    // An overlay still fits.
    expect((await registry.cloneForVm('vm', 'debian', { format: 'auto' })).rung).toBe('overlay');
    await registry.release('vm');
    execFileSync('rm', [join(mounted.path, 'ballast')]);
    expect((await registry.cloneForVm('vm', 'debian')).rung).toBe('sparse-copy');
    await registry.release('vm');
  });

  it('read-only: a coded error naming the directory', async () => {
    const { bench } = openTemplate();
    mounted.remountReadOnly();
    const clonesDir = join(mounted.path, 'clones');
    const registry = bench.another({ clonesDir });
    await expect(registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    expect(existsSync(join(clonesDir, 'vm'))).toBe(false);
    expect((await registry.templates()).map(({ name }) => name)).toEqual(['debian']);
  });
});
