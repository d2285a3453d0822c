/** What a VM is to be. */
import type { Accelerator } from '../vmm/index.js';

/** What a VM boots: the files of an installed environment. */
export interface Bootable {
  readonly name: string;
  readonly rootfsPath: string;
  readonly kernelPath: string;
  readonly initrdPath: string | undefined;
}

export interface MachineSpec {
  readonly environment: Bootable;
  /** 1..64 */
  readonly cpus: number;
  /** At least 128. */
  readonly memoryMib: number;
  /** Size of the disk, at least that of the environment's, which is the default. */
  readonly diskBytes?: number;
  readonly accelerator: Accelerator;
  /** Default false: it has no network device. */
  readonly networkDevice?: boolean;
}
