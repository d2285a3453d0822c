/** What Firecracker is told of a VM: pure, from the specification to the bodies of its API. */
import { HearthError } from '../../errors/index.js';
import type { VmSpec } from '../driver.js';
import type { BootSource, Drive, MachineConfiguration, Vsock } from './api.js';

export interface FirecrackerConfiguration {
  readonly machine: MachineConfiguration;
  readonly boot: BootSource;
  /** In order: the first is `/dev/vda`. */
  readonly drives: readonly Drive[];
  readonly vsock: Vsock;
}

const MAX_VCPUS = 32;
/** Any but 0 to 2; each VM has its own socket, so all may have the same. */
const GUEST_CID = 3;

/** @throws {HearthError} `VMM_FEATURE_UNSUPPORTED` for what Firecracker cannot do. */
export function assertFirecrackerSpec(spec: VmSpec): void {
  if (spec.accelerator !== 'kvm') throw unsupported('emulation', 'Use QEMU, or a machine with KVM.');
  if (spec.cpus > MAX_VCPUS) throw unsupported(`${spec.cpus} CPUs`, `Use at most ${MAX_VCPUS} CPUs.`);
  const other = spec.disks.find(({ format }) => format !== 'raw');
  if (other !== undefined) throw unsupported(`${other.format} disks`, 'Use a raw disk, or QEMU.');
  if (spec.network !== undefined) throw unsupported('a user-mode network', 'Use QEMU, or no network device.');
  const { resumeFrom, memory } = spec;
  if (resumeFrom !== undefined && (memory?.kind !== 'copy-on-write' || resumeFrom.memoryInState === true)) {
    throw unsupported('a resume without a memory file', 'Give the memory file that belongs to the state.');
  }
}

export function unsupported(feature: string, hint: string): HearthError {
  return new HearthError('VMM_FEATURE_UNSUPPORTED', `Firecracker does not support ${feature}`, {
    hint,
    details: { vmm: 'firecracker', feature },
  });
}

/** @param socketName Of the vsock socket, in the VM's directory, which is Firecracker's working directory. */
export function configurationOf(
  spec: VmSpec,
  socketName: string,
  agentPort: number,
): FirecrackerConfiguration {
  const bootArgs = [
    ...['console=ttyS0', 'quiet', 'panic=-1', 'reboot=k', 'cryptomgr.notests', `hearth.vsock=${agentPort}`],
    ...(spec.cpus === 1 ? ['noreplace-smp'] : []),
    ...spec.kernelArgs,
  ];
  return {
    machine: { vcpu_count: spec.cpus, mem_size_mib: spec.memoryMib },
    boot: {
      kernel_image_path: spec.kernelPath,
      ...(spec.initrdPath === undefined ? {} : { initrd_path: spec.initrdPath }),
      boot_args: bootArgs.join(' '),
    },
    drives: spec.disks.map((disk, index) => ({
      drive_id: `disk${index}`,
      path_on_host: disk.path,
      // A root device would add words of Firecracker's own to the command line; the agent mounts the root.
      is_root_device: false,
      is_read_only: disk.readOnly,
      cache_type: disk.disposable === true ? 'Unsafe' : 'Writeback',
    })),
    vsock: { guest_cid: GUEST_CID, uds_path: socketName },
  };
}
