import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { hashFile, RootfsRegistry, safeVmId } from '../../src/disks/index.js';
import { openBench } from './support.js';

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
const AS_BEFORE = new Date('2024-01-02T03:04:05Z');

function slotNames(clonesDir: string): string[] {
  return existsSync(clonesDir) ? readdirSync(clonesDir).filter((name) => !name.startsWith('.')) : [];
}

function staged(clonesDir: string): string[] {
  const staging = join(clonesDir, '.staging');
  return existsSync(staging) ? readdirSync(staging) : [];
}

describe('templates', () => {
  it('RR-01 RR-02 RR-03 RR-04: lists directories with an image, sorted, with size and hash', async () => {
    const bench = openBench();
    bench.putTemplate('zeta', 'zeta image');
    bench.putTemplate('alpha', 'alpha image!');
    mkdirSync(join(bench.templateDir, 'empty'));
    expect(await bench.registry.templates()).toEqual([
      {
        name: 'alpha',
        path: join(bench.templateDir, 'alpha/rootfs.ext4'),
        sizeBytes: 12,
        sha256: sha256('alpha image!'),
      },
      {
        name: 'zeta',
        path: join(bench.templateDir, 'zeta/rootfs.ext4'),
        sizeBytes: 10,
        sha256: sha256('zeta image'),
      },
    ]);
  });

  it('RR-05: no template directory, no templates', async () => {
    expect(await openBench().registry.templates()).toEqual([]);
  });

  it('RR-06: a template directory that cannot be read is an error with its path', async () => {
    const bench = openBench();
    writeFileSync(bench.templateDir, 'a file');
    await expect(bench.registry.templates()).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      details: { path: bench.templateDir },
    });
  });

  it('RR-07: passes over files, names that are not UTF-8 and images that are no regular files', async () => {
    const bench = openBench();
    bench.putTemplate('good', 'x');
    writeFileSync(join(bench.templateDir, 'file'), 'x');
    mkdirSync(join(bench.templateDir, 'dir/rootfs.ext4'), { recursive: true });
    const notUtf8 = Buffer.concat([Buffer.from(`${bench.templateDir}/`), Buffer.from([0x62, 0xff])]);
    mkdirSync(notUtf8);
    writeFileSync(Buffer.concat([notUtf8, Buffer.from('/rootfs.ext4')]), 'x');
    expect((await bench.registry.templates()).map(({ name }) => name)).toEqual(['good']);
    expect(await bench.registry.template('dir')).toBeUndefined();
    expect(await bench.registry.template('file')).toBeUndefined();
  });

  it('RR-08: finds one template by name, or undefined', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    expect(await bench.registry.template('debian')).toMatchObject({
      name: 'debian',
      sha256: sha256('image'),
    });
    expect(await bench.registry.template('alpine')).toBeUndefined();
  });

  it('RR-09 RR-10: hashes again only when the mtime has changed', async () => {
    const bench = openBench();
    const path = bench.putTemplate('debian', 'first');
    utimesSync(path, AS_BEFORE, AS_BEFORE);
    expect((await bench.registry.template('debian'))?.sha256).toBe(sha256('first'));
    writeFileSync(path, 'other');
    utimesSync(path, AS_BEFORE, AS_BEFORE);
    expect((await bench.registry.template('debian'))?.sha256).toBe(sha256('first'));
    utimesSync(path, AS_BEFORE, new Date(AS_BEFORE.getTime() + 1000));
    expect((await bench.registry.template('debian'))?.sha256).toBe(sha256('other'));
  });

  it('RR-11: an image dated to the epoch is hashed, and a failed hash is not remembered', async () => {
    const bench = openBench();
    const path = bench.putTemplate('old', 'epoch');
    utimesSync(path, 0, 0);
    const registry = bench.another({ sources: [async () => [{ name: 'env', path }]] });
    expect((await registry.template('env'))?.sha256).toBe(sha256('epoch'));
    renameSync(path, `${path}.away`);
    expect(await registry.template('env')).toBeUndefined();
    renameSync(`${path}.away`, path);
    expect((await registry.template('env'))?.sha256).toBe(sha256('epoch'));
  });

  it('takes a digest that another process has kept, and not for another file at that path', async () => {
    const bench = openBench();
    const path = bench.putTemplate('debian', 'first');
    // A file whose ctime is as young as this is not trusted to keep its timestamps.
    const later = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 10_000);
    await bench.registry.templates();
    const [entry] = readdirSync(join(bench.clonesDir, '.hashes'));
    const kept = join(bench.clonesDir, '.hashes', entry!);
    writeFileSync(kept, readFileSync(kept, 'utf8').replace(sha256('first'), 'a'.repeat(64)));
    expect((await bench.another().template('debian'))?.sha256).toBe('a'.repeat(64));
    const { atime, mtime } = statSync(path);
    writeFileSync(path, 'other');
    utimesSync(path, atime, mtime);
    expect((await bench.another().template('debian'))?.sha256).toBe(sha256('other'));
    later.mockRestore();
  });

  it.each(['../x', '..', '.', '', 'a/b', 'a\0b', '/etc', `${'n'.repeat(256)}`, '\ud800'])(
    'defect 3: refuses the template name %j',
    async (name) => {
      const bench = openBench();
      bench.putTemplate('a', 'x');
      mkdirSync(join(bench.root, 'x'));
      writeFileSync(join(bench.root, 'x/rootfs.ext4'), 'outside');
      await expect(bench.registry.template(name)).rejects.toMatchObject({ code: 'NAME_INVALID' });
      await expect(bench.registry.cloneForVm('vm', name)).rejects.toMatchObject({ code: 'NAME_INVALID' });
      expect(slotNames(bench.clonesDir)).toEqual([]);
    },
  );

  it('defect 6: a symbolic link is no template, neither in the list nor by name', async () => {
    const bench = openBench();
    const path = bench.putTemplate('real', 'x');
    symlinkSync(dirname(path), join(bench.templateDir, 'linked-dir'));
    mkdirSync(join(bench.templateDir, 'linked-image'));
    symlinkSync(path, join(bench.templateDir, 'linked-image/rootfs.ext4'));
    expect((await bench.registry.templates()).map(({ name }) => name)).toEqual(['real']);
    expect(await bench.registry.template('linked-dir')).toBeUndefined();
    expect(await bench.registry.template('linked-image')).toBeUndefined();
  });

  it('takes installed environments as templates, by names that no directory could have', async () => {
    const bench = openBench();
    bench.putTemplate('own', 'own image');
    const path = join(bench.root, 'environment.ext4');
    writeFileSync(path, 'environment');
    const source = async () => [
      { name: 'acme/debian:12', path },
      { name: 'own', path },
    ];
    const registry = bench.another({ sources: [source] });
    expect((await registry.templates()).map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
      ['acme/debian:12', 11],
      ['own', 9],
    ]);
    const clone = await registry.cloneForVm('vm', 'acme/debian:12');
    expect(readFileSync(clone.path, 'utf8')).toBe('environment');
    await expect(registry.cloneForVm('vm2', 'acme/alpine')).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });
});

describe('cloneForVm', () => {
  it('RR-12 RR-13 RR-14 RR-15: clones bytes and stamps them with the hash of the template', async () => {
    const bench = openBench();
    const bytes = Buffer.from('template bytes'.repeat(1000));
    bench.putTemplate('debian', bytes);
    const clone = await bench.registry.cloneForVm('vm-1', 'debian');
    expect(clone).toMatchObject({
      vmId: 'vm-1',
      owner: 'vm-1',
      template: 'debian',
      path: join(bench.clonesDir, 'vm-1/rootfs.ext4'),
      sourceSha256: sha256(bytes),
      sizeBytes: bytes.byteLength,
      format: 'raw',
      growth: 'none',
    });
    expect(readFileSync(clone.path).equals(bytes)).toBe(true);
    expect(readFileSync(`${clone.path}.sha256`, 'utf8').trim()).toBe(sha256(bytes));
    expect(existsSync(`${clone.path}.size`)).toBe(false);
    expect(staged(bench.clonesDir)).toEqual([]);
  });

  it('RR-16: a second clone gives the same disk, not written again', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const first = await bench.registry.cloneForVm('vm', 'debian');
    writeFileSync(first.path, 'GUEST');
    const before = lstatSync(first.path, { bigint: true });
    const second = await bench.another().cloneForVm('vm', 'debian');
    expect(second).toEqual(first);
    const after = lstatSync(first.path, { bigint: true });
    expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
    expect(readFileSync(first.path, 'utf8')).toBe('GUEST');
  });

  it('RR-17: a template that has changed is a stamp mismatch until the disk is released', async () => {
    const bench = openBench();
    const path = bench.putTemplate('debian', 'old');
    const { path: disk } = await bench.registry.cloneForVm('vm', 'debian');
    writeFileSync(path, 'new');
    utimesSync(path, AS_BEFORE, AS_BEFORE);
    await expect(bench.registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({
      code: 'CLONE_STAMP_MISMATCH',
      message: expect.stringContaining('stamp mismatch'),
    });
    expect(readFileSync(disk, 'utf8')).toBe('old');
    await bench.registry.release('vm');
    await bench.registry.cloneForVm('vm', 'debian');
    expect(readFileSync(disk, 'utf8')).toBe('new');
  });

  it.each([
    ['no stamp', 'rootfs.ext4.sha256', undefined],
    ['no record', 'clone.json', undefined],
    ['a record that is not JSON', 'clone.json', '{'],
    ['a record of another version', 'clone.json', '{"schemaVersion":2}'],
    ['no disk', 'rootfs.ext4', undefined],
    ['an endless stamp', 'rootfs.ext4.sha256', 'a'.repeat(5000)],
  ])('RR-18: a clone with %s is an error, and release clears it', async (_what, file, content) => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const { path } = await bench.registry.cloneForVm('vm', 'debian');
    const damaged = join(dirname(path), file);
    rmSync(damaged);
    if (content !== undefined) writeFileSync(damaged, content);
    await expect(bench.registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({ code: 'CLONE_INVALID' });
    expect(await bench.registry.clones()).toEqual([]);
    await bench.registry.release('vm');
    await bench.registry.cloneForVm('vm', 'debian');
  });

  it('RR-18: never follows a link in a slot', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const { path } = await bench.registry.cloneForVm('vm', 'debian');
    renameSync(path, `${path}.real`);
    symlinkSync(`${path}.real`, path);
    await expect(bench.registry.inspect('vm')).rejects.toMatchObject({ code: 'CLONE_INVALID' });
    await expect(bench.registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({ code: 'CLONE_INVALID' });
    symlinkSync(dirname(path), join(bench.clonesDir, 'linked'));
    await expect(bench.registry.cloneForVm('linked', 'debian')).rejects.toMatchObject({
      code: 'CLONE_INVALID',
    });
    await bench.registry.release('linked');
    expect(existsSync(`${path}.real`)).toBe(true);
  });

  it('RR-19: an unknown template is an error that says where it was looked for', async () => {
    const bench = openBench();
    await expect(bench.registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({
      code: 'TEMPLATE_NOT_FOUND',
      message: expect.stringContaining(`not found under ${bench.templateDir}`),
    });
    expect(slotNames(bench.clonesDir)).toEqual([]);
  });

  it('RR-22: the id becomes a directory name inside the clones directory', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const clone = await bench.registry.cloneForVm('vm/with:weird*chars', 'debian');
    expect(clone.vmId).toBe('vm_with_weird_chars');
    expect(clone.owner).toBe('vm/with:weird*chars');
    expect(clone.path).toBe(join(bench.clonesDir, 'vm_with_weird_chars/rootfs.ext4'));
    const outside = await bench.registry.cloneForVm('../../etc', 'debian');
    expect(outside.path).toBe(join(bench.clonesDir, '______etc/rootfs.ext4'));
  });

  it('RR-24: an empty id is refused everywhere', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const refused = { code: 'NAME_INVALID' };
    await expect(bench.registry.cloneForVm('', 'debian')).rejects.toMatchObject(refused);
    await expect(bench.registry.cloneForVmWithSize('', 'debian', 10)).rejects.toMatchObject(refused);
    await expect(bench.registry.release('')).rejects.toMatchObject(refused);
    await expect(bench.registry.cloneForVm('i'.repeat(129), 'debian')).rejects.toMatchObject(refused);
    await bench.registry.cloneForVm('i'.repeat(128), 'debian');
  });

  it('RR-25: release removes all of a VM, twice is fine, without a clones directory too', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    await bench.registry.release('vm');
    const { path } = await bench.registry.cloneForVm('vm', 'debian');
    writeFileSync(join(dirname(path), 'notes'), 'of the caller');
    await bench.registry.release('vm');
    await bench.registry.release('vm');
    expect(existsSync(dirname(path))).toBe(false);
    expect(staged(bench.clonesDir)).toEqual([]);
  });

  it('defect 2: ids that sanitise alike never share a disk, nor release each other’s', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const { path } = await bench.registry.cloneForVm('a/b', 'debian');
    const conflict = { code: 'CLONE_ID_CONFLICT', details: { owner: 'a/b' } };
    await expect(bench.registry.cloneForVm('a:b', 'debian')).rejects.toMatchObject(conflict);
    await expect(bench.registry.cloneForVmWithSize('a_b', 'debian', 9)).rejects.toMatchObject(conflict);
    await expect(bench.registry.release('a:b')).rejects.toMatchObject(conflict);
    expect(existsSync(path)).toBe(true);
    await bench.registry.release('a/b');
    await bench.registry.cloneForVm('a:b', 'debian');
  });

  it('defect 4: what a killed process left in staging is gone after the next operation', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    for (const name of ['vm.0123456789ab', 'other.0123456789ab']) {
      mkdirSync(join(bench.clonesDir, '.staging', name), { recursive: true });
      writeFileSync(join(bench.clonesDir, '.staging', name, 'disk'), 'half');
    }
    await bench.registry.cloneForVm('vm', 'debian');
    expect(staged(bench.clonesDir)).toEqual([]);
    expect((await bench.registry.clones()).map(({ vmId }) => vmId)).toEqual(['vm']);
  });

  it('defect 5: a hard link is given only for a disk that nobody writes to', async () => {
    const bench = openBench();
    const template = bench.putTemplate('debian', 'image');
    const rungs = ['hardlink'] as const;
    await expect(bench.registry.cloneForVm('rw', 'debian', { rungs })).rejects.toMatchObject({
      code: 'CLONE_RUNG_UNAVAILABLE',
    });
    const readOnly = await bench.registry.cloneForVm('ro', 'debian', { rungs, readOnly: true });
    expect(readOnly).toMatchObject({ rung: 'hardlink', readOnly: true });
    expect(statSync(readOnly.path).ino).toBe(statSync(template).ino);
    const writable = await bench.registry.cloneForVm('ro', 'debian');
    expect(writable).toMatchObject({ path: readOnly.path, readOnly: false });
    expect(statSync(writable.path).ino).not.toBe(statSync(template).ino);
    writeFileSync(writable.path, 'GUEST');
    expect(readFileSync(template, 'utf8')).toBe('image');
  });

  it('defect 7: many clones of one id at once, in two registries, are one clone', async () => {
    const bench = openBench();
    bench.putTemplate('debian', Buffer.alloc(1 << 20, 7));
    const registries = [bench.registry, bench.another()];
    const clones = await Promise.all(
      Array.from({ length: 20 }, (_, i) => registries[i % 2]!.cloneForVm('vm', 'debian')),
    );
    for (const clone of clones) expect(clone).toEqual(clones[0]);
    expect(slotNames(bench.clonesDir)).toEqual(['vm']);
  });

  it('makes 100 clones at once', async () => {
    const bench = openBench();
    const bytes = Buffer.alloc(1 << 16, 7);
    bench.putTemplate('debian', bytes);
    const clones = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        bench.registry.cloneForVm(`vm-${i}`, 'debian', { format: i % 2 === 0 ? 'auto' : 'raw' }),
      ),
    );
    expect(new Set(clones.map(({ path }) => path)).size).toBe(100);
    expect(await bench.registry.clones()).toHaveLength(100);
    expect(staged(bench.clonesDir)).toEqual([]);
    await Promise.all(clones.map(({ owner }) => bench.registry.release(owner)));
    expect(slotNames(bench.clonesDir)).toEqual([]);
  });

  it('a template replaced while it is cloned gives an error, not a clone with a wrong stamp', async () => {
    const bench = openBench();
    const path = bench.putTemplate('debian', 'image');
    const resize2fsPath = bench.fakeResize2fs(`touch -d 2030-01-01 '${path}'`);
    await expect(
      bench.another({ resize2fsPath }).cloneForVmWithSize('vm', 'debian', 4096),
    ).rejects.toMatchObject({ code: 'TEMPLATE_CHANGED' });
    expect(slotNames(bench.clonesDir)).toEqual([]);
    expect(staged(bench.clonesDir)).toEqual([]);
  });

  it('gives a qcow2 overlay when that is asked for, and keeps to the format of a disk', async () => {
    const bench = openBench();
    const template = bench.putTemplate('debian', Buffer.alloc(8192, 7));
    const clone = await bench.registry.cloneForVm('vm', 'debian', { format: 'qcow2' });
    expect(clone).toMatchObject({ rung: 'overlay', format: 'qcow2', sizeBytes: 8192, backingPath: template });
    expect(basename(clone.path)).toBe('rootfs.qcow2');
    expect(await bench.registry.cloneForVm('vm', 'debian', { format: 'auto' })).toEqual(clone);
    await expect(bench.registry.cloneForVm('vm', 'debian')).rejects.toMatchObject({
      code: 'CLONE_FORMAT_MISMATCH',
    });
  });

  it('inspects one clone', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    await expect(bench.registry.inspect('vm')).rejects.toMatchObject({ code: 'CLONE_NOT_FOUND' });
    const clone = await bench.registry.cloneForVm('vm', 'debian');
    expect(await bench.another().inspect('vm')).toEqual(clone);
    expect(await openBench().registry.clones()).toEqual([]);
  });

  it('an aborted clone leaves nothing', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const reason = new Error('stop');
    await expect(
      bench.registry.cloneForVm('vm', 'debian', { signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
    const controller = new AbortController();
    const resize2fsPath = bench.fakeResize2fs('sleep 60');
    setTimeout(() => controller.abort(reason), 300);
    await expect(
      bench
        .another({ resize2fsPath })
        .cloneForVmWithSize('vm', 'debian', 4096, { signal: controller.signal }),
    ).rejects.toBe(reason);
    expect(slotNames(bench.clonesDir)).toEqual([]);
    expect(staged(bench.clonesDir)).toEqual([]);
  });
});

describe('RR-48', () => {
  it('RR-48: tells the rung, and warns once per process of a full copy', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    vi.resetModules();
    const fresh = await import('../../src/disks/index.js');
    const warnings: string[] = [];
    const registry = new fresh.RootfsRegistry({
      ...{ templateDir: bench.templateDir, clonesDir: bench.clonesDir, resize2fsPath: 'resize2fs' },
      onWarning: (message) => warnings.push(message),
    });
    for (const vmId of ['one', 'two']) {
      const clone = await registry.cloneForVm(vmId, 'debian', { rungs: ['sparse-copy'] });
      expect(clone.rung).toBe('sparse-copy');
    }
    expect(warnings).toEqual([expect.stringContaining('copies the whole image')]);
  });
});

describe('fromEnv', () => {
  it('RR-30: takes the directories and the program of the environment', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const registry = RootfsRegistry.fromEnv(
      {
        HEARTH_ROOTFS_TEMPLATE_DIR: bench.templateDir,
        HEARTH_ROOTFS_CLONES_DIR: bench.clonesDir,
        HEARTH_RESIZE2FS_BIN: bench.fakeResize2fs('exit 0'),
      },
      { onWarning: () => undefined },
    );
    const clone = await registry.cloneForVmWithSize('vm', 'debian', 4096);
    expect(clone.path).toBe(join(bench.clonesDir, 'vm/rootfs.ext4'));
    expect(bench.calls().slice(0, 2)).toEqual(['-f', '--']);
  });
});

describe('hashFile and safeVmId', () => {
  it('RR-26 RR-27 RR-29: hashes known bytes', async () => {
    const bench = openBench();
    const path = join(bench.root, 'file');
    const known: [Uint8Array | string, string][] = [
      ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
      ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
      [Buffer.alloc(10 << 20), 'e5b844cc57f57094ea4585e235f36c78c1cd222262bb89d53c94dcb4d6b3e55d'],
    ];
    for (const [bytes, expected] of known) {
      writeFileSync(path, bytes);
      expect(await hashFile(path)).toBe(expected);
    }
  });

  it('RR-28: a missing file and a directory are coded errors', async () => {
    const bench = openBench();
    await expect(hashFile(join(bench.root, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(hashFile(bench.root)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it.each([
    ['vm-1', 'vm-1'],
    ['vm_1', 'vm_1'],
    ['VM1', 'VM1'],
    ['vm/1:foo', 'vm_1_foo'],
    ['a.b/c', 'a_b_c'],
    ['..', '__'],
    ['é😀', '__'],
  ])('RR-23: %s is %s', (id, safe) => {
    expect(safeVmId(id)).toBe(safe);
  });
});

describe('a link count', () => {
  it('RR-36: of more than one does not make a clone depend on its template', async () => {
    const bench = openBench();
    bench.putTemplate('debian', 'image');
    const clone = await bench.registry.cloneForVm('vm', 'debian');
    linkSync(clone.path, join(bench.root, 'backup'));
    const before = statSync(clone.path).ino;
    await bench.registry.cloneForVm('vm', 'debian');
    expect(statSync(clone.path).ino).toBe(before);
    truncateSync(join(bench.root, 'backup'), 5);
  });
});
