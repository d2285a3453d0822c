import { chmod, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MachineSpec } from '../machine-spec.js';
import {
  type BootFacts,
  type BootParts,
  bootFactsOf,
  bootKey,
  changedParts,
  sameLimits,
} from './boot-facts.js';

let root: string;
let spec: MachineSpec;
const searchPath = process.env.PATH;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hearth-boot-facts-'));
  for (const name of ['rootfs', 'kernel', 'initrd']) await writeFile(join(root, name), name);
  await mkdir(join(root, 'bin'));
  await installQemu('one');
  process.env.PATH = join(root, 'bin');
  spec = {
    environment: {
      name: 'debian:12',
      rootfsPath: join(root, 'rootfs'),
      kernelPath: join(root, 'kernel'),
      initrdPath: join(root, 'initrd'),
    },
    cpus: 1,
    memoryMib: 256,
    accelerator: 'tcg',
  };
});
afterAll(async () => {
  process.env.PATH = searchPath;
  await rm(root, { recursive: true, force: true });
});

async function installQemu(text: string): Promise<void> {
  const path = join(root, 'bin/qemu-system-x86_64');
  await rm(path, { force: true });
  await writeFile(path, text);
  await chmod(path, 0o755);
}

const keyNow = async (changes: Partial<MachineSpec> = {}): Promise<string> =>
  bootKey(await bootFactsOf({ ...spec, ...changes }), 1);

describe('bootKey', () => {
  it('is the same for the same', async () => {
    expect(await keyNow()).toBe(await keyNow());
    expect(await keyNow()).toMatch(/^[0-9a-f]{24}$/);
  });

  it('is another for another layout of the files', async () => {
    const facts = await bootFactsOf(spec);
    expect(bootKey(facts, 1)).not.toBe(bootKey(facts, 2));
  });

  it.each([
    ['cpus', { cpus: 2 }],
    ['memory', { memoryMib: 512 }],
    ['disk', { diskBytes: 2 ** 31 }],
    ['accelerator', { accelerator: 'kvm' }],
    ['network device', { networkDevice: true }],
  ] as const)('is another for other limits: %s', async (_name, changes) => {
    expect(await keyNow(changes)).not.toBe(await keyNow());
    const [one, other] = [await bootFactsOf(spec), await bootFactsOf({ ...spec, ...changes })];
    expect(sameLimits(one.limits, other.limits)).toBe(false);
  });

  it.each([
    ['rootfs', 'the root file system'],
    ['kernel', 'the kernel'],
    ['initrd', "hearth's agent"],
  ] as const)('is another when this file changes: %s', async (file, name) => {
    const before = await bootFactsOf(spec);
    await writeFile(join(root, file), 'longer than it was');
    const after = await bootFactsOf(spec);
    expect(bootKey(after, 1)).not.toBe(bootKey(before, 1));
    expect(changedParts(before.parts, after.parts)).toEqual([name]);
  });

  it('is another when a file of the same size has another time', async () => {
    const before = await keyNow();
    await utimes(join(root, 'kernel'), 1, 1);
    expect(await keyNow()).not.toBe(before);
  });

  it('is another for another QEMU', async () => {
    const before = await bootFactsOf(spec);
    await installQemu('another one');
    const after = await bootFactsOf(spec);
    expect(bootKey(after, 1)).not.toBe(bootKey(before, 1));
    expect(changedParts(before.parts, after.parts)).toEqual(['QEMU']);
  });

  it.each([
    ['machine', 'the machine'],
    ['processor', 'the processor'],
  ] as const)('is another for another %s', async (part: keyof BootParts, name) => {
    const before = await bootFactsOf(spec);
    const after: BootFacts = { ...before, parts: { ...before.parts, [part]: 'other' } };
    expect(bootKey(after, 1)).not.toBe(bootKey(before, 1));
    expect(changedParts(before.parts, after.parts)).toEqual([name]);
  });

  it('depends on the host’s processor under KVM only', async () => {
    expect((await bootFactsOf(spec)).parts.processor).toBe('');
    expect((await bootFactsOf({ ...spec, accelerator: 'kvm' })).parts.processor).not.toBe('');
  });

  it('says every part that changed', async () => {
    const { parts } = await bootFactsOf(spec);
    expect(changedParts(parts, { ...parts, qemu: 'x', kernel: 'y' })).toEqual(['the kernel', 'QEMU']);
    expect(changedParts(parts, parts)).toEqual([]);
  });
});
