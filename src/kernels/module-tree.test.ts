import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildModule } from '../../test/kernels/elf-fixture.js';
import { readModules } from './module-tree.js';

const RELEASE = '6.1.0-9';

describe('readModules', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hearth-modules-'));
    await mkdir(join(directory, 'kernel'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const add = async (path: string, content: string | Uint8Array): Promise<void> => {
    const target = join(directory, 'kernel', path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content, 'latin1');
  };
  const builtIn = (...paths: string[]) =>
    writeFile(join(directory, 'modules.builtin'), `${paths.join('\n')}\n`);
  const names = async (required: string[], optional: string[] = []) => {
    const modules = await readModules(directory, { release: RELEASE, required, optional });
    return modules.map(({ name }) => name);
  };

  it('puts every module after what it needs, each once', async () => {
    await add('a/top.ko', buildModule(RELEASE, 'left,right'));
    await add('b/left.ko', buildModule(RELEASE, 'base'));
    await add('c/right.ko', buildModule(RELEASE, 'base'));
    await add('d/base.ko', buildModule(RELEASE));
    expect(await names(['top', 'base'])).toEqual(['base', 'left', 'right', 'top']);
  });

  it('finds a module under either spelling and expands it', async () => {
    await add('drivers/virtio-rng.ko.gz', gzipSync(Buffer.from(buildModule(RELEASE), 'latin1')));
    const [found] = await readModules(directory, {
      release: RELEASE,
      required: ['virtio_rng'],
      optional: [],
    });
    expect(found).toMatchObject({ name: 'virtio_rng', path: 'kernel/drivers/virtio-rng.ko', requires: [] });
    expect(Buffer.from(found?.data ?? []).toString('latin1')).toBe(buildModule(RELEASE));
  });

  it('leaves out what is built in, also as a dependency', async () => {
    await builtIn('kernel/fs/ext4/ext4.ko', 'kernel/lib/crc-16.ko');
    await add('x.ko', buildModule(RELEASE, 'crc_16'));
    expect(await names(['ext4', 'x'])).toEqual(['x']);
  });

  it('takes optional modules and soft dependencies only when they exist', async () => {
    await add('x.ko', buildModule(RELEASE, '', ['softdep=pre: there absent']));
    await add('there.ko', buildModule(RELEASE));
    const modules = await readModules(directory, { release: RELEASE, required: ['x'], optional: ['gone'] });
    expect(modules.map(({ name, requires }) => [name, requires])).toEqual([
      ['there', []],
      ['x', ['there']],
    ]);
  });

  it('says which module misses which', async () => {
    await add('x.ko', buildModule(RELEASE, 'gone'));
    await expect(names(['x'])).rejects.toMatchObject({
      code: 'KERNEL_MODULE_MISSING',
      details: { module: 'gone', neededBy: 'x' },
    });
    await expect(names(['other'])).rejects.toMatchObject({
      code: 'KERNEL_MODULE_MISSING',
      details: { module: 'other' },
    });
  });

  it('refuses a module of another kernel, a circle, damage and a missing directory', async () => {
    await add('foreign.ko', buildModule('5.10.0'));
    await expect(names(['foreign'])).rejects.toMatchObject({
      code: 'KERNEL_INVALID',
      details: { module: 'foreign', expected: RELEASE, actual: '5.10.0' },
    });
    await add('a.ko', buildModule(RELEASE, 'b'));
    await add('b.ko', buildModule(RELEASE, 'a'));
    await expect(names(['a'])).rejects.toMatchObject({ code: 'KERNEL_INVALID' });
    await add('bad.ko', 'garbage');
    await expect(names(['bad'])).rejects.toMatchObject({ code: 'KERNEL_INVALID' });
    await rm(join(directory, 'kernel'), { recursive: true });
    await expect(names(['a'])).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('ends when it is cancelled', async () => {
    await add('a.ko', buildModule(RELEASE));
    const reason = new Error('enough');
    await expect(
      readModules(
        directory,
        { release: RELEASE, required: ['a'], optional: [] },
        { signal: AbortSignal.abort(reason) },
      ),
    ).rejects.toBe(reason);
  });
});
