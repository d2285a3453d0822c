import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CloneRung, cloneDisk, hashFile } from '../../src/disks/index.js';
import { openBench } from './support.js';

const MIB = 1024 ** 2;

function openTemplate(bytes: Uint8Array = Buffer.alloc(MIB, 7)) {
  const bench = openBench();
  const template = join(bench.root, 'template.ext4');
  writeFileSync(template, bytes);
  const directory = join(bench.root, 'to');
  mkdirSync(directory);
  return { template, directory, destination: join(directory, 'disk') };
}

function qemuInfo(path: string): Record<string, unknown> {
  execFileSync('qemu-img', ['check', '-q', path]);
  return JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path]).toString());
}

function qemuIo(path: string, ...commands: string[]): string {
  const args = commands.flatMap((command) => ['-c', command]);
  const output = execFileSync('qemu-io', ['-f', 'qcow2', ...args, path]).toString();
  expect(output).not.toMatch(/failed/i);
  return output;
}

describe('cloneDisk', () => {
  it.each([
    ['the template’s size', undefined, MIB],
    ['32 GiB', 32 * 1024 ** 3, 32 * 1024 ** 3],
    ['5 TiB, with an L1 table of two clusters', 5 * 1024 ** 4, 5 * 1024 ** 4],
    ['a part of a sector more', MIB + 1, MIB + 512],
  ])('an overlay of %s is what qemu-img reads', async (_what, sizeBytes, virtualSizeBytes) => {
    const { template, destination } = openTemplate();
    const clone = await cloneDisk(template, destination, {
      format: 'qcow2',
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
    });
    expect(clone).toEqual({
      path: destination,
      rung: 'overlay',
      format: 'qcow2',
      virtualSizeBytes,
      backingPath: template,
      growth: sizeBytes === undefined ? 'none' : 'online',
    });
    expect(qemuInfo(destination)).toMatchObject({
      format: 'qcow2',
      'virtual-size': virtualSizeBytes,
      'backing-filename': template,
      'backing-filename-format': 'raw',
      'format-specific': { data: { compat: '1.1', corrupt: false } },
    });
    expect(statSync(destination).blocks * 512).toBeLessThanOrEqual(16 * 1024);
  });

  it('writes to an overlay stay in the overlay, beyond the template there are zeros', async () => {
    const { template, destination } = openTemplate();
    const before = await hashFile(template);
    await cloneDisk(template, destination, { format: 'qcow2', sizeBytes: 64 * MIB });
    qemuIo(destination, 'read -P 7 0 1M', 'read -P 0 1M 63M', 'write -P 9 64k 4k', 'write -P 9 63M 1M');
    qemuIo(destination, 'read -P 7 0 64k', 'read -P 9 64k 4k', 'read -P 7 68k 900k', 'read -P 9 63M 1M');
    qemuInfo(destination);
    expect(await hashFile(template)).toBe(before);
  });

  it('an overlay over an overlay reads through both', async () => {
    const { template, directory, destination } = openTemplate();
    await cloneDisk(template, destination, { format: 'qcow2', sizeBytes: 2 * MIB });
    qemuIo(destination, 'write -P 9 0 512');
    const upper = join(directory, 'upper');
    const clone = await cloneDisk(destination, upper, { templateFormat: 'qcow2', rungs: ['overlay'] });
    expect(clone).toMatchObject({ rung: 'overlay', virtualSizeBytes: 2 * MIB, growth: 'none' });
    qemuIo(upper, 'read -P 9 0 512', 'read -P 7 512 512', 'read -P 0 1M 1M');
    const copy = await cloneDisk(destination, join(directory, 'copy'), {
      templateFormat: 'qcow2',
      rungs: ['sparse-copy'],
    });
    expect(copy).toMatchObject({ rung: 'sparse-copy', format: 'qcow2', virtualSizeBytes: 2 * MIB });
    qemuIo(copy.path, 'read -P 9 0 512');
  });

  it('a raw disk that starts with a qcow2 header stays a raw disk', async () => {
    const { template, directory, destination } = openTemplate();
    await cloneDisk(template, destination, { format: 'qcow2' });
    const clone = await cloneDisk(destination, join(directory, 'copy'), { format: 'raw' });
    expect(clone).toMatchObject({ format: 'raw', virtualSizeBytes: statSync(destination).size });
    await expect(
      cloneDisk(template, join(directory, 'no'), { templateFormat: 'qcow2' }),
    ).rejects.toMatchObject({ code: 'DISK_FORMAT_INVALID' });
  });

  it('a sparse copy keeps holes, makes holes of zeros and has a hole for what it grew', async () => {
    const bytes = Buffer.alloc(16 * MIB);
    bytes.fill(7, 5 * MIB, 6 * MIB);
    const { template, destination } = openTemplate(bytes);
    expect(statSync(template).blocks * 512).toBeGreaterThanOrEqual(16 * MIB);
    const clone = await cloneDisk(template, destination, {
      format: 'raw',
      rungs: ['sparse-copy'],
      sizeBytes: 64 * MIB,
    });
    expect(clone).toMatchObject({ rung: 'sparse-copy', virtualSizeBytes: 64 * MIB, growth: 'online' });
    const copied = readFileSync(destination);
    expect(copied.subarray(0, bytes.byteLength).equals(bytes)).toBe(true);
    expect(copied.byteLength).toBe(64 * MIB);
    expect(statSync(destination).blocks * 512).toBeLessThan(2 * MIB);
  });

  it('gives a clone of its own mode, whatever the template’s', async () => {
    const { template, destination } = openTemplate();
    execFileSync('chmod', ['0444', template]);
    await cloneDisk(template, destination, { format: 'raw' });
    expect(statSync(destination).mode & 0o777).toBe(0o600);
    expect(statSync(template).mode & 0o777).toBe(0o444);
  });

  const impossible: [string, { format?: 'raw' | 'qcow2'; readOnly?: boolean; rungs: CloneRung[] }][] = [
    ['an overlay as raw', { format: 'raw', rungs: ['overlay'] }],
    ['a copy as qcow2', { format: 'qcow2', rungs: ['reflink', 'sparse-copy'] }],
    ['a hard link to write to', { rungs: ['hardlink'] }],
    ['no rung', { rungs: [] }],
  ];
  it.each(impossible)('refuses %s', async (_what, options) => {
    const { template, directory, destination } = openTemplate();
    await expect(cloneDisk(template, destination, options)).rejects.toMatchObject({
      code: 'CLONE_RUNG_UNAVAILABLE',
      details: { tried: [] },
    });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('refuses a smaller disk, a used name, a missing or linked template, and leaves nothing', async () => {
    const { template, directory, destination } = openTemplate();
    const link = `${template}.link`;
    symlinkSync(template, link);
    const refused: [string, () => Promise<unknown>][] = [
      ['DISK_SHRINK_REFUSED', () => cloneDisk(template, destination, { sizeBytes: MIB - 1 })],
      ['SIZE_INVALID', () => cloneDisk(template, destination, { sizeBytes: 0.5 })],
      ['FILE_NOT_FOUND', () => cloneDisk(`${template}.none`, destination)],
      ['FILE_UNREADABLE', () => cloneDisk(link, destination)],
      ['FILE_NOT_FOUND', () => cloneDisk(template, join(directory, 'none/disk'))],
      ['CLONE_EXISTS', () => cloneDisk(template, directory)],
    ];
    for (const [code, clone] of refused) await expect(clone()).rejects.toMatchObject({ code });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('aborted in the middle of a copy it leaves nothing', async () => {
    const { template, directory, destination } = openTemplate(Buffer.alloc(256 * MIB, 7));
    const controller = new AbortController();
    const reason = new Error('stop');
    const { signal } = controller;
    const clone = cloneDisk(template, destination, { format: 'raw', rungs: ['sparse-copy'], signal });
    const copying = setInterval(() => {
      if (readdirSync(directory).length > 0) controller.abort(reason);
    }, 1);
    await expect(clone).rejects.toBe(reason);
    clearInterval(copying);
    expect(readdirSync(directory)).toEqual([]);
  });
});
