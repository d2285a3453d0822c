import { mkdir, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildModule, buildVmlinux } from '../../test/kernels/elf-fixture.js';
import { ensureInitrd } from './initrd.js';
import { type KernelStore, openKernelStore } from './store.js';

const RELEASE = '6.1.0-9';

describe('the kernel store', () => {
  let scratch: string;
  let store: KernelStore;
  let kernelPath: string;
  let modulesDirectory: string;
  beforeEach(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'hearth-kernels-'));
    store = openKernelStore(join(scratch, 'kernels'));
    kernelPath = join(scratch, 'vmlinux');
    await writeFile(kernelPath, buildVmlinux(RELEASE));
    modulesDirectory = join(scratch, 'modules');
    for (const [path, depends] of [
      ['kernel/virtio.ko', ''],
      ['kernel/virtio_mmio.ko', 'virtio'],
      ['kernel/virtio_blk.ko', 'virtio'],
      ['kernel/virtio_console.ko', 'virtio'],
      ['kernel/overlay.ko', ''],
    ] as const) {
      await mkdir(dirname(join(modulesDirectory, path)), { recursive: true });
      await writeFile(join(modulesDirectory, path), buildModule(RELEASE, depends), 'latin1');
    }
    await writeFile(join(modulesDirectory, 'modules.builtin'), 'kernel/fs/ext4/ext4.ko\n');
  });
  afterEach(() => rm(scratch, { recursive: true }));

  const record = (name: string): string => join(store.directory, name, 'kernel.json');

  it('is empty before anything was written, and writes nothing to say so', async () => {
    expect(await store.list()).toEqual([]);
    await expect(store.get('a')).rejects.toMatchObject({ code: 'KERNEL_NOT_FOUND' });
    await expect(readdir(store.directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('imports, lists, verifies and removes', async () => {
    const bundle = await store.import('mine', { kernelPath, modulesDirectory });
    expect(bundle).toMatchObject({
      name: 'mine',
      release: RELEASE,
      vmlinuxPath: join(store.directory, 'mine', 'vmlinux'),
      origin: { kind: 'import', kernel: kernelPath, modules: modulesDirectory },
    });
    expect(bundle.modules.map(({ name }) => name)).toEqual([
      ...['virtio', 'virtio_mmio', 'virtio_blk', 'virtio_console', 'overlay'],
    ]);
    expect(await store.get('mine')).toEqual(bundle);
    expect(await store.ensure('mine')).toEqual(bundle);
    expect(await store.verify('mine')).toEqual(bundle);
    expect(await store.list()).toEqual([{ state: 'ready', name: 'mine', bundle }]);
    await store.remove('mine');
    expect(await store.list()).toEqual([]);
    await expect(store.remove('mine')).rejects.toMatchObject({ code: 'KERNEL_NOT_FOUND' });
  });

  it('gives the same bytes the same digest under any name', async () => {
    const one = await store.import('one', { kernelPath, modulesDirectory });
    const two = await store.import('two', { kernelPath, modulesDirectory });
    const bare = await store.import('bare', { kernelPath });
    expect(two.digest).toBe(one.digest);
    expect(bare.digest).not.toBe(one.digest);
  });

  it('does not replace a kernel by an import, nor keep half of a failed one', async () => {
    await store.import('mine', { kernelPath });
    await expect(store.import('mine', { kernelPath })).rejects.toMatchObject({
      code: 'KERNEL_EXISTS',
      details: { name: 'mine' },
    });
    await writeFile(kernelPath, 'not a kernel');
    await expect(store.import('other', { kernelPath })).rejects.toMatchObject({ code: 'KERNEL_INVALID' });
    await expect(store.import('gone', { kernelPath: join(scratch, 'no') })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      details: { path: join(scratch, 'no') },
    });
    expect((await store.list()).map(({ name }) => name)).toEqual(['mine']);
    expect(await readdir(join(store.directory, '.staging'))).toEqual([]);
  });

  it('removes what a killed writer left', async () => {
    const left = join(store.directory, '.staging', 'mine', 'bundle');
    await mkdir(left, { recursive: true });
    await writeFile(join(left, 'vmlinux'), 'half');
    expect((await store.import('mine', { kernelPath })).release).toBe(RELEASE);
  });

  it.each(['', '.', '..', '.a', 'a/b', '../a', 'A', 'a ', 'a-', `${'a'.repeat(65)}`])(
    'refuses the name %j',
    async (name) => {
      await expect(store.get(name)).rejects.toMatchObject({ code: 'NAME_INVALID', details: { name } });
      await expect(store.import(name, { kernelPath })).rejects.toMatchObject({ code: 'NAME_INVALID' });
    },
  );

  it('says that an unknown name is unknown, and fetches nothing', async () => {
    await expect(store.ensure('unheard-of')).rejects.toMatchObject({
      code: 'KERNEL_NOT_FOUND',
      details: { name: 'unheard-of', installed: [] },
    });
  });

  describe('with a damaged entry', () => {
    const damages: ReadonlyArray<[name: string, damage: () => Promise<unknown>]> = [
      ['of another name', () => edit({ name: 'other' })],
      ['of a newer schema', () => edit({ schema: 2 })],
      ['with a number for its release', () => edit({ release: 6 })],
      ['with a text for its files', () => edit({ files: 'vmlinux' })],
      ['without vmlinux among its files', () => edit({ files: [] })],
      [
        'with files outside',
        () => edit({ files: [{ path: '../x', sizeBytes: 1, digest: `sha256:${'0'.repeat(64)}` }] }),
      ],
      ['of an unknown origin', () => edit({ origin: { kind: 'gift' } })],
      ['whose record is a list', () => writeFile(record('mine'), '[]')],
      ['whose record is empty', () => writeFile(record('mine'), '')],
      ['whose record is cut', () => truncate(record('mine'), 100)],
      ['whose record is huge', () => truncate(record('mine'), 2 ** 21)],
      ['without record', () => rm(record('mine'))],
      ['whose kernel is cut', () => truncate(join(store.directory, 'mine/vmlinux'), 10)],
      ['whose kernel is missing', () => rm(join(store.directory, 'mine/vmlinux'))],
      [
        'whose kernel is a directory',
        async () => {
          await rm(join(store.directory, 'mine/vmlinux'));
          await mkdir(join(store.directory, 'mine/vmlinux'));
        },
      ],
      ['without a module', () => rm(join(store.directory, 'mine/modules/kernel/virtio.ko'))],
      [
        'that is a file',
        async () => {
          await rm(join(store.directory, 'mine'), { recursive: true });
          await writeFile(join(store.directory, 'mine'), '');
        },
      ],
    ];
    const edit = async (change: object): Promise<void> => {
      const old: object = JSON.parse(await readFile(record('mine'), 'utf8'));
      await writeFile(record('mine'), JSON.stringify({ ...old, ...change }));
    };

    it.each(damages)('%s: says so everywhere, never "not found"', async (_name, damage) => {
      await store.import('mine', { kernelPath, modulesDirectory });
      await store.import('well', { kernelPath });
      await damage();
      const corrupt = { code: 'KERNEL_CORRUPT', details: { name: 'mine', why: expect.any(String) } };
      await expect(store.get('mine')).rejects.toMatchObject(corrupt);
      await expect(store.ensure('mine')).rejects.toMatchObject(corrupt);
      await expect(store.verify('mine')).rejects.toMatchObject(corrupt);
      expect(await store.list()).toMatchObject([{ state: 'corrupt', error: corrupt }, { state: 'ready' }]);
      await store.remove('mine');
      expect((await store.import('mine', { kernelPath })).name).toBe('mine');
    });

    it('finds changed bytes of the same length only by verifying', async () => {
      const { vmlinuxPath } = await store.import('mine', { kernelPath });
      const bytes = await readFile(vmlinuxPath);
      bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200);
      await writeFile(vmlinuxPath, bytes);
      expect((await store.get('mine')).name).toBe('mine');
      await expect(store.verify('mine')).rejects.toMatchObject({ code: 'KERNEL_CORRUPT' });
    });
  });

  describe('ensureInitrd', () => {
    const pack = async (modules?: string[]) => {
      const bundle = await store.get('mine');
      const options = { agentPath: join(scratch, 'agent'), cacheDirectory: join(scratch, 'cache') };
      return await ensureInitrd(bundle, modules === undefined ? options : { ...options, modules });
    };
    beforeEach(async () => {
      await store.import('mine', { kernelPath, modulesDirectory });
      await writeFile(join(scratch, 'agent'), 'agent 1');
    });

    it('holds the agent, the boot modules in order, and no other', async () => {
      const { path } = await pack();
      const text = (await readFile(path)).toString('latin1');
      const guest = (name: string): string => `/lib/modules/${RELEASE}/kernel/${name}.ko\n`;
      expect(text).toContain(['virtio', 'virtio_mmio', 'virtio_blk', 'virtio_console'].map(guest).join(''));
      expect(text).toContain('agent 1');
      expect(text).not.toContain('overlay');
    });

    it('holds those of a network device in a list of their own', async () => {
      const path = 'kernel/drivers/net/virtio_net.ko';
      await mkdir(dirname(join(modulesDirectory, path)), { recursive: true });
      await writeFile(join(modulesDirectory, path), buildModule(RELEASE, 'virtio'), 'latin1');
      await store.import('net', { kernelPath, modulesDirectory });
      const bundle = await store.get('net');
      const options = { agentPath: join(scratch, 'agent'), cacheDirectory: join(scratch, 'cache') };
      const text = (await readFile((await ensureInitrd(bundle, options)).path)).toString('latin1');
      const lists = text.slice(text.indexOf('hearth/modules'));
      expect(lists).toMatch(new RegExp(`hearth/network-modules\\0+/lib/modules/${RELEASE}/${path}\n`));
      expect(lists.slice(0, lists.indexOf('hearth/network-modules'))).not.toContain('virtio_net');
    });

    it('takes what requested modules need', async () => {
      const text = (await readFile((await pack(['virtio_blk'])).path)).toString('latin1');
      expect(text).toContain('virtio.ko');
      expect(text).not.toContain('virtio_mmio');
    });

    it('is known again without being packed, until a file of it changes', async () => {
      const first = await pack();
      const [note = ''] = await readdir(join(scratch, 'cache/notes'));
      // A note is believed: what it leads to is not packed to compare.
      const other = 'f'.repeat(64);
      await writeFile(join(scratch, `cache/${other}.cpio`), 'ten bytes.');
      await writeFile(join(scratch, 'cache/notes', note), JSON.stringify({ hex: other, sizeBytes: 10 }));
      expect((await pack()).digest).toBe(`sha256:${other}`);
      const { directory } = await store.get('mine');
      await utimes(join(directory, 'modules/kernel/virtio_blk.ko'), 1, 1);
      expect((await pack()).digest).toBe(first.digest);
    });

    it.each(['', '{', 'null', '{"hex":"../x","sizeBytes":7}', '{"hex":7}'])(
      'does not believe the note %j',
      async (text) => {
        const first = await pack();
        const [note = ''] = await readdir(join(scratch, 'cache/notes'));
        await writeFile(join(scratch, 'cache/notes', note), text);
        expect(await pack()).toEqual(first);
      },
    );

    it('is built once, anew for another agent, and again when the file was cut', async () => {
      const first = await pack();
      expect(await pack()).toEqual(first);
      await truncate(first.path, 100);
      expect(await pack()).toEqual(first);
      expect((await readFile(first.path)).byteLength).toBeGreaterThan(100);
      await writeFile(join(scratch, 'agent'), 'agent 2');
      expect((await pack()).digest).not.toBe(first.digest);
      const packed = (await readdir(join(scratch, 'cache'))).filter((name) => name.endsWith('.cpio'));
      expect(packed).toHaveLength(2);
    });

    it('says when the agent is missing', async () => {
      await rm(join(scratch, 'agent'));
      await expect(pack()).rejects.toMatchObject({
        code: 'FILE_NOT_FOUND',
        details: { path: join(scratch, 'agent') },
      });
    });
  });
});
