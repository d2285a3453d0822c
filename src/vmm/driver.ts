/**
 * The contract between hearth and a VMM (QEMU, Firecracker). A driver boots what it is given and
 * hands back a byte channel to the guest agent; it knows nothing of images, environments or sandboxes.
 */
import type { Duplex } from 'node:stream';

export type Accelerator = 'kvm' | 'tcg';

export interface VmDisk {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly readOnly: boolean;
  /**
   * Nobody needs this disk after a crash of the host: the guest's flushes end in the host's page cache.
   * Default false: a flush of the guest is a flush of the host. The disk survives a killed VM either way.
   */
  readonly disposable?: boolean;
}

/** Where the guest's memory is. */
type VmMemory =
  /** In the VMM's own memory. The default. */
  | { readonly kind: 'anonymous' }
  /** In this file, made by the VMM: `save` leaves it complete. */
  | { readonly kind: 'file'; readonly path: string }
  /** As this file has it, which many VMs may share; what a VM writes is its own and vanishes with it. */
  | { readonly kind: 'copy-on-write'; readonly path: string };

/** What `save` left. */
export interface SavedState {
  readonly statePath: string;
  /** The guest's memory is in the state too. Default: it is not, but for a VM with anonymous memory. */
  readonly memoryInState?: boolean;
  /** Leaves the guest's CPUs stopped until `resume`. Default false. */
  readonly paused?: boolean;
}

export interface VmSpec {
  /** Directory of this VM alone (0700, fresh): sockets, console log, pid file. Removed by the caller. */
  readonly directory: string;
  readonly kernelPath: string;
  /** Without one the kernel needs everything built in. */
  readonly initrdPath?: string;
  /** Words after those that the driver adds itself (console, panic, …). */
  readonly kernelArgs: readonly string[];
  readonly cpus: number;
  readonly memoryMib: number;
  /** In order: the first is `/dev/vda`. */
  readonly disks: readonly VmDisk[];
  readonly accelerator: Accelerator;
  /**
   * A network device whose packets the VMM itself carries, to whatever this host reaches. Absent: no device.
   * QEMU only.
   */
  readonly network?: { readonly mac: string };
  readonly memory?: VmMemory;
  /**
   * Goes on where `save` of another VM stopped, instead of booting. Everything else of the specification must
   * be as it was for that VM, the contents of disks and memory included; directory and paths may differ.
   */
  readonly resumeFrom?: SavedState;
}

export interface VmExit {
  /** Exit code of the VMM process, null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what the VMM itself said on stderr, at most 4 KiB. */
  readonly stderr: string;
}

export interface Vm extends AsyncDisposable {
  readonly pid: number;
  /** The guest agent's channel. Ends when the VM ends. */
  readonly channel: Duplex;
  /** Resolves when the VMM process is gone; never rejects. */
  readonly exited: Promise<VmExit>;
  /** The last `maxBytes` of the guest's console, control characters escaped. */
  consoleTail(maxBytes: number): Promise<string>;
  /** Stops the guest's CPUs; the channel stays. Idempotent. */
  pause(): Promise<void>;
  /** Lets them run again, also after `save`. Idempotent. */
  resume(): Promise<void>;
  /**
   * Pauses the VM and writes the state of its CPUs and devices to the new file `statePath`; its disks are
   * complete on the host then. Memory in a file is that file from now until `resume`; any other memory goes
   * into the state.
   */
  save(statePath: string, options?: { readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Stops the VM at once (the guest has been asked before, by the agent). Resolves when the process is gone.
   * Disks that are not disposable hold all that the guest has written, disposable ones what `save` left. Idempotent.
   */
  kill(): Promise<void>;
}

export interface StartVmOptions {
  readonly signal?: AbortSignal;
  /** Called when the VMM's process has been started, long before it answers: time to prepare for its answer. */
  readonly onSpawn?: () => void;
}

export interface VmDriver {
  readonly name: 'qemu' | 'firecracker';
  /** The VMM's own version, `7.2.18`. Throws `VMM_NOT_FOUND` when it is not installed. */
  version(): Promise<string>;
  /**
   * Starts a VM and resolves once its process runs and the channel is connected on the host side;
   * the guest may not have booted yet. A start that fails has cleaned up: no process, no socket.
   */
  start(spec: VmSpec, options?: StartVmOptions): Promise<Vm>;
}
