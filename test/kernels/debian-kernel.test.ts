/** The kernel of Debian's own packages, through the host's apt. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchAptKernel } from '../../src/kernels/apt.js';
import { DEFAULT_KERNEL_NAME, type KernelStore, openKernelStore } from '../../src/kernels/index.js';

const run = promisify(execFile);

describe('the default kernel', () => {
  let scratch: string;
  let store: KernelStore;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'hearth-debian-kernel-'));
    store = openKernelStore(join(scratch, 'kernels'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  it('is fetched once by any number of processes, whole and bootable', async () => {
    const steps: string[] = [];
    const onProgress = (step: string): void => {
      steps.push(step);
    };
    const bundles = await Promise.all([1, 2, 3].map(() => store.ensure(DEFAULT_KERNEL_NAME, { onProgress })));
    expect(new Set(bundles.map(({ digest }) => digest)).size).toBe(1);
    expect(steps.filter((step) => step.startsWith('downloading'))).toHaveLength(1);
    const [bundle] = bundles;
    expect(bundle?.origin).toMatchObject({ kind: 'apt', package: `linux-image-${bundle?.release}` });
    expect(bundle?.modules.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['virtio_mmio', 'virtio_blk', 'virtio_console', 'virtio_rng', 'overlay']),
    );
    await store.verify(DEFAULT_KERNEL_NAME);
    expect(await readdir(join(store.directory, '.staging'))).toEqual([]);
    // Neither the package nor its half gigabyte stays behind.
    const { stdout } = await run('du', ['-sm', store.directory]);
    expect(Number.parseInt(stdout, 10)).toBeLessThan(100);
  });

  it('loads its modules in an order that depmod agrees with', async () => {
    const { modules } = await store.get(DEFAULT_KERNEL_NAME);
    const seen = new Set<string>();
    for (const { name, requires } of modules) {
      for (const needed of requires) expect(seen).toContain(needed);
      seen.add(name);
    }
  });

  it('is fetched on a machine without package lists', async () => {
    // As in container images, which remove them.
    const home = await mkdtemp(join(tmpdir(), 'hearth-no-lists-'));
    try {
      await chmod(home, 0o755);
      const empty = { APT_CONFIG: join(home, 'apt.conf') };
      await run('sh', [
        '-c',
        `mkdir "$0/lists" "$0/lists/partial" "$0/staging" && printf 'Dir::State::Lists "%s/lists";' "$0" >"$0/apt.conf"`,
        home,
      ]);
      process.env.APT_CONFIG = empty.APT_CONFIG;
      const steps: string[] = [];
      const kernel = await fetchAptKernel({ package: 'linux-image-cloud-amd64' }, join(home, 'staging'), {
        onProgress: (step) => steps.push(step),
      });
      expect(steps).toContain('fetching package lists');
      expect(kernel.package).toMatch(/^linux-image-[0-9]/);
    } finally {
      delete process.env.APT_CONFIG;
      await rm(home, { recursive: true, force: true });
    }
  });

  it('says what to do about a package that does not exist', async () => {
    const staging = await mkdtemp(join(scratch, 'staging-'));
    await expect(fetchAptKernel({ package: 'linux-image-of-nobody' }, staging)).rejects.toMatchObject({
      code: 'KERNEL_SOURCE_UNAVAILABLE',
      details: { package: 'linux-image-of-nobody' },
    });
  });

  it('refuses a package with another digest than the catalog gives, and leaves nothing', async () => {
    const other = openKernelStore(join(scratch, 'pinned'));
    const digest = `sha256:${'0'.repeat(64)}`;
    const source = { kind: 'apt', package: 'linux-image-cloud-amd64', digest } as const;
    await expect(other.pull('pinned', { source })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      details: { expected: digest, actual: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) },
    });
    expect(await other.list()).toEqual([]);
  });

  it('ends when it is cancelled, leaving nothing', async () => {
    const other = openKernelStore(join(scratch, 'cancelled'));
    const controller = new AbortController();
    const reason = new Error('enough');
    const pulling = other.pull('mine', {
      source: { kind: 'apt', package: 'linux-image-cloud-amd64' },
      signal: controller.signal,
      onProgress: (step) => {
        if (step.startsWith('unpacking')) controller.abort(reason);
      },
    });
    await expect(pulling).rejects.toBe(reason);
    expect(await other.list()).toEqual([]);
    expect(await readdir(join(other.directory, '.staging'))).toEqual([]);
  });
});
