import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AcceleratorWish, resolveAccelerator } from '../../src/vmm/index.js';
import { openScratch, type Scratch } from './support.js';

describe('resolveAccelerator', () => {
  let scratch: Scratch;
  let cachePath: string;
  let kernelPath: string;
  /** Stands for /dev/kvm: what only has to be there and open. */
  let kvmDevice: string;
  /** Written once: an answer holds for one QEMU. */
  const binaries = new Map<string, string>();
  beforeEach(async () => {
    scratch = await openScratch();
    binaries.clear();
    cachePath = join(scratch.directory, 'state', 'accelerator.json');
    kernelPath = join(scratch.directory, 'vmlinux');
    kvmDevice = join(scratch.directory, 'kvm');
    await writeFile(kernelPath, 'kernel');
    await writeFile(kvmDevice, '');
  });
  afterEach(() => scratch.remove());

  /** Decides with a QEMU that behaves so, counting its starts. */
  const decide = async (wish: AcceleratorWish, behaviour: string) => {
    let binary = binaries.get(behaviour);
    if (binary === undefined) {
      const counted = `echo start >> '${scratch.directory}/starts'; exec '${await scratch.fake(behaviour)}' "$@"`;
      binary = await scratch.script(`counted-${behaviour}`, counted);
      binaries.set(behaviour, binary);
    }
    return await resolveAccelerator(wish, { kernelPath, cachePath, binary, kvmDevice });
  };
  const starts = async (): Promise<number> =>
    (await readFile(join(scratch.directory, 'starts'), 'utf8').catch(() => '')).length / 'start\n'.length;

  it('takes KVM when the guest came to its end under it', async () => {
    expect(await decide('auto', 'runs')).toEqual({
      accelerator: 'kvm',
      reason: expect.stringMatching(/^a guest ran under KVM within \d+ ms$/),
    });
  });

  it.each(['hung', 'silent-guest', 'no-kvm', 'no-disk'])('falls back to emulation: %s', async (behaviour) => {
    const startedAt = performance.now();
    const decision = await decide('auto', behaviour === 'silent-guest' ? 'well' : behaviour);
    expect(decision).toMatchObject({ accelerator: 'tcg', reason: expect.stringContaining('KVM') });
    expect(performance.now() - startedAt).toBeLessThan(60_000);
  });

  it('asks nothing for tcg', async () => {
    expect(await decide('tcg', 'runs')).toEqual({ accelerator: 'tcg', reason: 'it was asked for' });
    expect(await starts()).toBe(0);
  });

  it('remembers its answers, but asks again for kvm that was refused', async () => {
    const first = await decide('auto', 'no-kvm');
    expect(await decide('auto', 'no-kvm')).toEqual(first);
    expect(await starts()).toBe(1);
    await expect(decide('kvm', 'no-kvm')).rejects.toMatchObject({
      code: 'KVM_UNAVAILABLE',
      details: { reason: expect.stringContaining('KVM') },
    });
    expect(await starts()).toBe(2);
  });

  it('asks again for another kernel', async () => {
    await decide('auto', 'runs');
    await decide('kvm', 'runs');
    expect(await starts()).toBe(1);
    await writeFile(kernelPath, 'another kernel');
    await decide('auto', 'runs');
    expect(await starts()).toBe(2);
  });

  it.each(['', 'garbage', '[]', '{"answers":[]}', '{"answers":{"x":{"usable":"yes"}}}', 'x'.repeat(100_000)])(
    'starts a damaged memory anew: %#',
    async (text) => {
      await decide('auto', 'runs');
      await writeFile(cachePath, text);
      expect(await decide('auto', 'runs')).toMatchObject({ accelerator: 'kvm' });
      expect(await starts()).toBe(2);
      expect(Object.values(JSON.parse(await readFile(cachePath, 'utf8')).answers).at(-1)).toMatchObject({
        usable: true,
      });
    },
  );

  it('decides also where nothing can be remembered', async () => {
    cachePath = '/dev/null/accelerator.json';
    expect(await decide('auto', 'runs')).toMatchObject({ accelerator: 'kvm' });
  });

  it('says what to do without the device', async () => {
    kvmDevice = join(scratch.directory, 'missing');
    expect(await decide('auto', 'runs')).toEqual({
      accelerator: 'tcg',
      reason: `this machine has no ${kvmDevice}`,
    });
    await expect(decide('kvm', 'runs')).rejects.toMatchObject({
      code: 'KVM_UNAVAILABLE',
      hint: expect.stringContaining('kvm_intel'),
    });
    expect(await starts()).toBe(0);
  });

  it('does not mistake a missing QEMU for a missing KVM', async () => {
    await chmod(kvmDevice, 0o600);
    const binary = join(scratch.directory, 'nowhere');
    await expect(
      resolveAccelerator('auto', { kernelPath, cachePath, binary, kvmDevice }),
    ).rejects.toMatchObject({ code: 'VMM_NOT_FOUND' });
  });

  it('decides for this very host within five seconds, whatever it is', async () => {
    const decision = await resolveAccelerator('auto', { kernelPath: '/nonexistent/vmlinux', cachePath });
    expect(['kvm', 'tcg']).toContain(decision.accelerator);
  });
});
