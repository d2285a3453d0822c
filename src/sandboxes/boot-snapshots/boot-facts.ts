/** Everything that must be the same for a saved boot to fit a VM: if one of it changes, that boot is never resumed. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { type Accelerator, machineIdentity, qemuIdentity } from '../../vmm/index.js';
import type { MachineSpec } from '../machine-spec.js';
import { NOBODYS_MAC, networkDevice } from '../network/network-device.js';

/** What the user chose; another choice is another snapshot beside the first. */
export interface BootLimits {
  readonly cpus: number;
  readonly memoryMib: number;
  readonly diskBytes: number | null;
  readonly accelerator: Accelerator;
  readonly networkDevice: boolean;
}

/** Texts that change when their subject does. */
export interface BootParts {
  /** Files: path, size, modification time, inode, device. */
  readonly rootfs: string;
  readonly kernel: string;
  readonly agent: string;
  /** The program, by its file. */
  readonly qemu: string;
  /** Type, devices and kernel words of the VM. */
  readonly machine: string;
  /** The host's, which a guest sees under KVM only; otherwise empty. */
  readonly processor: string;
}

export interface BootFacts {
  readonly limits: BootLimits;
  readonly parts: BootParts;
}

const KEY_CHARS = 24;

const PART_NAMES: Readonly<Record<keyof BootParts, string>> = {
  rootfs: 'the root file system',
  kernel: 'the kernel',
  agent: "hearth's agent",
  qemu: 'QEMU',
  machine: 'the machine',
  processor: 'the processor',
};

/** @throws {HearthError} `VMM_NOT_FOUND`; the error of stat for a file that is missing. */
export async function bootFactsOf({
  environment,
  cpus: cpuCount,
  memoryMib,
  diskBytes,
  accelerator,
  networkDevice: hasNetwork = false,
}: MachineSpec): Promise<BootFacts> {
  const { rootfsPath, kernelPath, initrdPath } = environment;
  const [rootfs, kernel, agent, qemu, machine] = await Promise.all([
    fileText(rootfsPath),
    fileText(kernelPath),
    initrdPath === undefined ? '' : fileText(initrdPath),
    qemuIdentity(),
    machineIdentity({
      directory: '/',
      kernelPath,
      ...(initrdPath === undefined ? {} : { initrdPath }),
      ...networkDevice(hasNetwork ? NOBODYS_MAC : undefined),
      cpus: cpuCount,
      memoryMib,
      disks: [{ path: '/disk', format: 'raw', readOnly: false }],
      accelerator,
    }),
  ]);
  const processor = accelerator === 'kvm' ? (cpus()[0]?.model ?? '') : '';
  return {
    limits: {
      cpus: cpuCount,
      memoryMib,
      diskBytes: diskBytes ?? null,
      accelerator,
      networkDevice: hasNetwork,
    },
    parts: { rootfs, kernel, agent, qemu, machine, processor },
  };
}

async function fileText(path: string): Promise<string> {
  const { size, mtimeMs, ino, dev } = await stat(path);
  return [path, size, mtimeMs, ino, dev].join(' ');
}

/** Names the snapshot: another key for any other facts, or another layout of its files. */
export function bootKey(facts: BootFacts, schema: number): string {
  return createHash('sha256')
    .update(JSON.stringify([schema, facts]))
    .digest('hex')
    .slice(0, KEY_CHARS);
}

export function sameLimits(one: BootLimits, other: BootLimits): boolean {
  return (
    one.cpus === other.cpus &&
    one.memoryMib === other.memoryMib &&
    one.diskBytes === other.diskBytes &&
    one.accelerator === other.accelerator &&
    one.networkDevice === other.networkDevice
  );
}

/** For people: what is not as it was. */
export function changedParts(before: BootParts, now: BootParts): string[] {
  const names = Object.keys(PART_NAMES) as (keyof BootParts)[];
  return names.filter((name) => before[name] !== now[name]).map((name) => PART_NAMES[name]);
}
