/** From where the VM of a sandbox goes on, when it does not boot. */
import type { Bootable, MachineSpec } from './machine-spec.js';
import type { SandboxDisk, SandboxRecord } from './sandbox-record.js';

export interface StartSource {
  /** Memory without what VMs have written since; many may share the file. */
  readonly memoryPath: string;
  readonly statePath: string;
  /** The disk as it was for that memory, in the sandbox's directory. */
  readonly disk: SandboxDisk;
  /** What becomes of the commands in the memory, which stand still; `none`: there are none. */
  readonly commands: 'none' | 'go on' | 'end';
  /** It was this sandbox that was saved: it stays the machine that it was. */
  readonly isOwn: boolean;
  /** Prepares a boot in its place, of a disk without traces of it. Absent: there is nothing to fall back to. */
  readonly fallback?: () => Promise<SandboxDisk>;
}

export interface StartSourceOptions {
  readonly signal?: AbortSignal;
  readonly onPhase: (phase: 'prepare' | 'resume') => void;
}

/** Finds the source for a start. Undefined: it boots from its own disk. */
export type FindStartSource = (
  record: SandboxRecord,
  directory: string,
  options: StartSourceOptions,
) => Promise<StartSource | undefined>;

/** What its VM was booted from. */
export function bootableOf({ environment }: SandboxRecord): Bootable {
  const { name, kernelPath, initrdPath, directory, rootfsPath = `${directory}/rootfs.ext4` } = environment;
  return { name, kernelPath, initrdPath, rootfsPath };
}

/** What a boot snapshot has to fit. */
export function machineSpecOf(record: SandboxRecord): MachineSpec {
  const { cpus, memoryMib, accelerator, disk, network } = record;
  return {
    environment: bootableOf(record),
    cpus,
    memoryMib,
    accelerator,
    ...(network.mode === 'full' ? { networkDevice: true } : {}),
    ...(disk.growPending ? { diskBytes: disk.sizeBytes } : {}),
  };
}
