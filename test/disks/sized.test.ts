import { execFileSync } from 'node:child_process';
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hashFile, resizeExt4Image } from '../../src/disks/index.js';
import { openBench } from './support.js';

const OLD = Buffer.alloc(4096, 7);
const mtimeOf = (path: string): bigint => statSync(path, { bigint: true }).mtimeNs;

function openSized(script = 'exit 0') {
  const bench = openBench();
  const template = bench.putTemplate('debian', OLD);
  const resize2fsPath = bench.fakeResize2fs(script);
  return { bench, template, resize2fsPath, registry: bench.another({ resize2fsPath }) };
}

function expectGrown(path: string, targetBytes: number): void {
  const bytes = readFileSync(path);
  expect(bytes.byteLength).toBe(targetBytes);
  expect(bytes.subarray(0, OLD.byteLength).equals(OLD)).toBe(true);
  expect(bytes.subarray(OLD.byteLength).every((byte) => byte === 0)).toBe(true);
}

describe('cloneForVmWithSize', () => {
  it('RR-32: the template’s own size needs no resize program and leaves no size stamp', async () => {
    const bench = openBench();
    bench.putTemplate('debian', OLD);
    const clone = await bench.registry.cloneForVmWithSize('vm', 'debian', 4096);
    expect(clone).toMatchObject({ sizeBytes: 4096, growth: 'none' });
    expect(readFileSync(clone.path).equals(OLD)).toBe(true);
    expect(existsSync(`${clone.path}.size`)).toBe(false);
    expect(await bench.registry.cloneForVmWithSize('vm', 'debian', 4096)).toEqual(clone);
  });

  it.each([0, 4095])('RR-33: %d bytes, less than the template, make nothing', async (sizeBytes) => {
    const { bench, registry } = openSized();
    await expect(registry.cloneForVmWithSize('vm', 'debian', sizeBytes)).rejects.toMatchObject({
      code: 'DISK_SHRINK_REFUSED',
      message: expect.stringContaining('resize-down would lose data'),
      details: { currentBytes: 4096, targetBytes: sizeBytes },
    });
    expect(existsSync(bench.clonesDir)).toBe(false);
    expect(bench.calls()).toEqual([]);
  });

  it.each([-1, 1.5, Number.NaN, 2 ** 53])('refuses a size of %d', async (sizeBytes) => {
    const { registry } = openSized();
    await expect(registry.cloneForVmWithSize('vm', 'debian', sizeBytes)).rejects.toMatchObject({
      code: 'SIZE_INVALID',
    });
  });

  it('RR-34: a larger disk keeps its bytes, ends in zeros and carries a size stamp', async () => {
    const { bench, template, registry } = openSized();
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    expect(clone).toMatchObject({ sizeBytes: 8192, growth: 'offline' });
    expectGrown(clone.path, 8192);
    expect(readFileSync(template).equals(OLD)).toBe(true);
    expect(readFileSync(`${clone.path}.size`, 'utf8')).toBe('8192');
    expect(bench.calls().slice(0, 2)).toEqual(['-f', '--']);
  });

  it('RR-35 RR-36 defect 8: a clone that is a hard link, forced on any file system, becomes independent before it grows', async () => {
    const { template, registry } = openSized();
    const rungs = ['hardlink'] as const;
    const linked = await registry.cloneForVm('vm', 'debian', { rungs, readOnly: true });
    expect(statSync(linked.path).ino).toBe(statSync(template).ino);
    writeFileSync(join(dirname(linked.path), '.rootfs.ext4.growing'), 'stale');
    const grown = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    expect(grown).toMatchObject({ sizeBytes: 8192, growth: 'offline', readOnly: false });
    expect(grown.rung).not.toBe('hardlink');
    expectGrown(grown.path, 8192);
    expect(statSync(grown.path).ino).not.toBe(statSync(template).ino);
    expect(statSync(template).size).toBe(4096);
    expect(existsSync(join(dirname(grown.path), '.rootfs.ext4.growing'))).toBe(false);
  });

  it('RR-37: the same size again is the same disk, its stamp not written again', async () => {
    const { bench, registry } = openSized();
    const first = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    const before = [mtimeOf(first.path), mtimeOf(`${first.path}.size`)];
    const calls = bench.calls().length;
    expect(await registry.cloneForVmWithSize('vm', 'debian', 8192)).toEqual(first);
    expect([mtimeOf(first.path), mtimeOf(`${first.path}.size`)]).toEqual(before);
    expect(bench.calls()).toHaveLength(calls);
  });

  it.each([
    ['RR-38: another size', 16_384],
    ['RR-39: the template’s size', 4096],
  ])('%s after a resize is a size stamp mismatch', async (_row, sizeBytes) => {
    const { registry } = openSized();
    const { path } = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    const before = mtimeOf(path);
    await expect(registry.cloneForVmWithSize('vm', 'debian', sizeBytes)).rejects.toMatchObject({
      code: 'CLONE_SIZE_MISMATCH',
      message: expect.stringContaining('size stamp mismatch'),
    });
    expect([statSync(path).size, mtimeOf(path)]).toEqual([8192, before]);
  });

  it('RR-40: growing never uses a hard link', async () => {
    const { bench, registry } = openSized();
    await expect(
      registry.cloneForVmWithSize('vm', 'debian', 8192, { readOnly: true, rungs: ['hardlink'] }),
    ).rejects.toMatchObject({ code: 'CLONE_RUNG_UNAVAILABLE' });
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 8192, { readOnly: true });
    expect(clone.rung).not.toBe('hardlink');
    expect(bench.calls()).not.toEqual([]);
  });

  it.each(['many', '-1', '', '99999999999999999'])(
    'RR-47: a size stamp of %j names file and content',
    async (text) => {
      const { registry } = openSized();
      const { path } = await registry.cloneForVmWithSize('vm', 'debian', 8192);
      writeFileSync(`${path}.size`, text);
      await expect(registry.cloneForVmWithSize('vm', 'debian', 8192)).rejects.toMatchObject({
        code: 'CLONE_INVALID',
        message: expect.stringContaining(JSON.stringify(text)),
        details: { path: `${path}.size` },
      });
    },
  );
});

describe('defect 1: a resize that failed is never taken for a success', () => {
  it('of a new clone: nothing is left, and the next call resizes', async () => {
    const { bench, registry } = openSized('echo broken >&2; exit 3');
    await expect(registry.cloneForVmWithSize('vm', 'debian', 8192)).rejects.toMatchObject({
      code: 'RESIZE_FAILED',
      details: { exitCode: 3 },
    });
    expect(await registry.clones()).toEqual([]);
    expect(existsSync(join(bench.clonesDir, 'vm'))).toBe(false);
    bench.fakeResize2fs('exit 0');
    const before = bench.calls().length;
    expect((await registry.cloneForVmWithSize('vm', 'debian', 8192)).sizeBytes).toBe(8192);
    expect(bench.calls().length).toBeGreaterThan(before);
  });

  it('of a clone that exists: the disk is as it was, a smaller size may be asked for next', async () => {
    const { bench, registry } = openSized('exit 3');
    const { path } = await registry.cloneForVm('vm', 'debian');
    await expect(registry.cloneForVmWithSize('vm', 'debian', 16_384)).rejects.toMatchObject({
      code: 'RESIZE_FAILED',
    });
    expect(readFileSync(path).equals(OLD)).toBe(true);
    expect(readdirSync(dirname(path)).sort()).toEqual(['clone.json', 'rootfs.ext4', 'rootfs.ext4.sha256']);
    bench.fakeResize2fs('exit 0');
    expect((await registry.cloneForVmWithSize('vm', 'debian', 8192)).sizeBytes).toBe(8192);
  });

  it('of the primitive on a clone: the extended disk is refused, not stamped', async () => {
    const { resize2fsPath, registry } = openSized('exit 3');
    const { path } = await registry.cloneForVm('vm', 'debian');
    await expect(resizeExt4Image(path, 8192, { resize2fsPath })).rejects.toMatchObject({
      code: 'RESIZE_FAILED',
    });
    const refused = { code: 'CLONE_INVALID' };
    await expect(registry.cloneForVmWithSize('vm', 'debian', 8192)).rejects.toMatchObject(refused);
    await expect(registry.cloneForVm('vm', 'debian')).rejects.toMatchObject(refused);
    expect(existsSync(`${path}.size`)).toBe(false);
  });

  it('killed between the stamp and the rename: the grown copy becomes the disk', async () => {
    const { registry } = openSized();
    const { path } = await registry.cloneForVm('vm', 'debian');
    const grown = Buffer.concat([OLD, Buffer.alloc(4096)]);
    writeFileSync(join(dirname(path), '.rootfs.ext4.growing'), grown);
    writeFileSync(`${path}.size`, '8192');
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    expect(clone).toMatchObject({ sizeBytes: 8192, growth: 'offline' });
    expectGrown(path, 8192);
  });

  it('a stamp beside a disk of another size is refused', async () => {
    const { registry } = openSized();
    const { path } = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    truncateSync(path, 6000);
    await expect(registry.cloneForVmWithSize('vm', 'debian', 8192)).rejects.toMatchObject({
      code: 'CLONE_INVALID',
    });
  });
});

describe('growing online', () => {
  it('a raw disk is extended and left for the guest', async () => {
    const { bench, registry } = openSized();
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 8192, { growth: 'online' });
    expect(clone).toMatchObject({ sizeBytes: 8192, growth: 'online', format: 'raw' });
    expectGrown(clone.path, 8192);
    expect(bench.calls()).toEqual([]);
  });

  it('a hard link becomes independent before it is extended', async () => {
    const { template, registry } = openSized();
    await registry.cloneForVm('vm', 'debian', { rungs: ['hardlink'], readOnly: true });
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 8192, { growth: 'online' });
    expect(clone).toMatchObject({ sizeBytes: 8192, growth: 'online', readOnly: false });
    expect(statSync(template).size).toBe(4096);
  });

  it('a disk that a guest has written to is never shown to resize2fs', async () => {
    const { bench, registry } = openSized();
    const { path } = await registry.cloneForVm('vm', 'debian');
    writeFileSync(path, Buffer.alloc(4096, 9));
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 8192);
    expect(clone).toMatchObject({ sizeBytes: 8192, growth: 'online' });
    expect(readFileSync(path)[0]).toBe(9);
    expect(bench.calls()).toEqual([]);
  });

  it.each(['raw', 'qcow2'] as const)(
    'killed before the stamp, a %s disk grows when asked again',
    async (format) => {
      const { registry } = openSized();
      const options = { format, growth: 'online' } as const;
      const { path } = await registry.cloneForVm('vm', 'debian', options);
      const grown = await registry.cloneForVmWithSize('vm', 'debian', 8192, options);
      const stamp = join(dirname(path), 'rootfs.ext4.size');
      rmSync(stamp);
      expect(await registry.cloneForVmWithSize('vm', 'debian', 8192, options)).toEqual(grown);
      expect(readFileSync(stamp, 'utf8')).toBe('8192');
    },
  );

  it('an overlay grows in place, and again by resize', async () => {
    const { bench, template, registry } = openSized();
    const before = await hashFile(template);
    const { path } = await registry.cloneForVm('vm', 'debian', { format: 'qcow2' });
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 512 512', path]);
    for (const sizeBytes of [1 << 20, 32 * 1024 ** 3]) {
      expect(await registry.resize('vm', sizeBytes)).toMatchObject({ sizeBytes, growth: 'online', path });
      execFileSync('qemu-img', ['check', path]);
    }
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'read -P 9 512 512', '-c', 'read -P 0 30G 64k', path]);
    await expect(registry.resize('vm', 1 << 20)).rejects.toMatchObject({ code: 'DISK_SHRINK_REFUSED' });
    expect(await hashFile(template)).toBe(before);
    expect(bench.calls()).toEqual([]);
  });
});

describe('resize', () => {
  it('grows a disk that has been grown before, and never shrinks it', async () => {
    const { registry } = openSized();
    await registry.cloneForVmWithSize('vm', 'debian', 8192);
    const clone = await registry.resize('vm', 16_384);
    expect(clone).toMatchObject({ sizeBytes: 16_384, growth: 'offline' });
    expectGrown(clone.path, 16_384);
    expect(await registry.resize('vm', 16_384)).toEqual(clone);
    await expect(registry.resize('vm', 8192)).rejects.toMatchObject({ code: 'DISK_SHRINK_REFUSED' });
    await expect(registry.resize('other', 8192)).rejects.toMatchObject({ code: 'CLONE_NOT_FOUND' });
  });
});

describe('resizeExt4Image', () => {
  function openImage(script: string) {
    const bench = openBench();
    return { bench, path: bench.putTemplate('image', OLD), resize2fsPath: bench.fakeResize2fs(script) };
  }

  it('RR-41: less than it has is refused and changes nothing', async () => {
    const { bench, path, resize2fsPath } = openImage('exit 0');
    await expect(resizeExt4Image(path, 4095, { resize2fsPath })).rejects.toMatchObject({
      code: 'DISK_SHRINK_REFUSED',
      message: expect.stringContaining('resize-down would lose data'),
    });
    expect(statSync(path).size).toBe(4096);
    expect(bench.calls()).toEqual([]);
  });

  it('RR-42: what it has is no change', async () => {
    const { path } = openImage('exit 0');
    await resizeExt4Image(path, 4096, { resize2fsPath: '/nonexistent' });
    expect(readFileSync(path).equals(OLD)).toBe(true);
  });

  it('RR-43: more extends the file and runs resize2fs -f -- path', async () => {
    const { bench, path, resize2fsPath } = openImage('exit 0');
    await resizeExt4Image(path, 8192, { resize2fsPath });
    expectGrown(path, 8192);
    expect(bench.calls()).toEqual(['-f', '--', path]);
  });

  it('RR-44: a program that fails is an error with its exit code and stderr; the file stays extended', async () => {
    const { path, resize2fsPath } = openImage('echo superblock is broken >&2; exit 7');
    await expect(resizeExt4Image(path, 8192, { resize2fsPath })).rejects.toMatchObject({
      code: 'RESIZE_FAILED',
      message: expect.stringMatching(/exit.*superblock is broken/),
      details: { exitCode: 7 },
    });
    expect(statSync(path).size).toBe(8192);
  });

  it.each(['/nonexistent/resize2fs', 'not-executable'])('RR-45: %s cannot be spawned', async (program) => {
    const { bench, path } = openImage('exit 0');
    writeFileSync(join(bench.root, 'not-executable'), '');
    const resize2fsPath = program.startsWith('/') ? program : join(bench.root, program);
    await expect(resizeExt4Image(path, 8192, { resize2fsPath })).rejects.toMatchObject({
      code: 'TOOL_NOT_FOUND',
      message: expect.stringContaining('spawn'),
    });
  });

  it('refuses what is not a regular file', async () => {
    const { bench } = openImage('exit 0');
    await expect(resizeExt4Image(bench.root, 8192)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(resizeExt4Image(join(bench.root, 'none'), 8192)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
    });
  });

  it('RR-46: grows a real ext4 from 4 to 8 MiB', async () => {
    const bench = openBench();
    const path = bench.putTemplate('real', '');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', path, '4M']);
    const registry = bench.another({ resize2fsPath: 'resize2fs' });
    const clone = await registry.cloneForVmWithSize('vm', 'real', 8 << 20);
    expect(clone.growth).toBe('offline');
    const dump = execFileSync('dumpe2fs', ['-h', clone.path], { stdio: 'pipe' }).toString();
    expect(/^Block count:\s+(\d+)/m.exec(dump)?.[1]).toBe(String((8 << 20) / 4096));
    execFileSync('e2fsck', ['-fn', clone.path], { stdio: 'pipe' });
  });
});
