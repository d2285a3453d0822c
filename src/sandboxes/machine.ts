/**
 * A running VM of an environment: its own disk, a VMM process, and the agent that answered. What both `run` and
 * long-lived sandboxes stand on.
 */
import { join } from 'node:path';
import { type AgentClient, connectAgent } from '../agent/index.js';
import { cloneDisk } from '../disks/index.js';
import { HearthError } from '../errors/index.js';
import { type Accelerator, createQemuDriver, type Vm, type VmDriver, vmExitedError } from '../vmm/index.js';

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
  /** At least {@link LEAST_MEMORY_MIB}. */
  readonly memoryMib: number;
  /** Size of the disk, at least that of the environment's, which is the default. */
  readonly diskBytes?: number;
  readonly accelerator: Accelerator;
}

export type MachinePhase = 'clone' | 'boot' | 'ready';

export interface StartMachineOptions {
  /** A fresh directory for this machine alone (0700): disk, console log. The caller removes it afterwards. */
  readonly directory: string;
  readonly driver?: VmDriver;
  readonly signal?: AbortSignal;
  readonly onPhase?: (phase: MachinePhase) => void;
}

export interface Machine extends AsyncDisposable {
  readonly vm: Vm;
  readonly agent: AgentClient;
  /** Whole ms. */
  readonly durationsMs: { readonly clone: number; readonly boot: number };
  /** Stops the VM at once. Resolves when its process is gone. Idempotent. */
  close(): Promise<void>;
}

/** Less than this and Debian's kernel does not reach the agent. */
export const LEAST_MEMORY_MIB = 128;
const DISK_FILE = 'disk';
/** Long enough for a crowded machine under emulation; a VM that ends early is noticed at once. */
const BOOT_TIMEOUT_MS = 120_000;
const GROW_TIMEOUT_MS = 120_000;

/**
 * Clones the environment's disk, boots it, and waits for the agent.
 *
 * @throws {HearthError} `MEMORY_TOO_SMALL`, `ENVIRONMENT_BROKEN`, what cloning and the driver throw, `VM_EXITED`
 *   with the end of the console, `AGENT_TIMEOUT`. No process is left then.
 */
export async function startMachine(spec: MachineSpec, options: StartMachineOptions): Promise<Machine> {
  const { directory, signal, onPhase, driver = createQemuDriver() } = options;
  const { environment } = spec;
  if (spec.memoryMib < LEAST_MEMORY_MIB) {
    throw new HearthError(
      'MEMORY_TOO_SMALL',
      `${spec.memoryMib} MiB of memory are too little for a VM, at least ${LEAST_MEMORY_MIB} MiB are needed`,
      {
        hint: 'Give more, for example --memory 512M.',
        details: { memoryMib: spec.memoryMib, leastMib: LEAST_MEMORY_MIB },
      },
    );
  }
  if (environment.initrdPath === undefined) {
    throw new HearthError(
      'ENVIRONMENT_BROKEN',
      `the environment ${environment.name} has no initrd for hearth's agent`,
      {
        hint: `Register it again with --modules, or pull it: hearth env pull ${environment.name}`,
        details: { environment: environment.name },
      },
    );
  }
  const startedAt = performance.now();
  onPhase?.('clone');
  const disk = await cloneDisk(environment.rootfsPath, join(directory, DISK_FILE), {
    durable: false,
    ...(spec.diskBytes === undefined ? {} : { sizeBytes: spec.diskBytes }),
    ...(signal === undefined ? {} : { signal }),
  });
  const clonedAt = performance.now();
  onPhase?.('boot');
  const vm = await driver.start(
    {
      directory,
      kernelPath: environment.kernelPath,
      initrdPath: environment.initrdPath,
      kernelArgs: [],
      cpus: spec.cpus,
      memoryMib: spec.memoryMib,
      disks: [{ path: disk.path, format: disk.format, readOnly: false, disposable: true }],
      accelerator: spec.accelerator,
    },
    signal === undefined ? {} : { signal },
  );
  try {
    const agent = await greet(vm, signal);
    if (disk.growth === 'online')
      await agent.growRoot({ timeoutMs: GROW_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) });
    onPhase?.('ready');
    const close = async (): Promise<void> => {
      agent.close();
      await vm.kill();
    };
    return {
      vm,
      agent,
      durationsMs: {
        clone: Math.round(clonedAt - startedAt),
        boot: Math.round(performance.now() - clonedAt),
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await vm.kill();
    throw error;
  }
}

/** Waits for the agent's answer, or for the VM to end before it. */
async function greet(vm: Vm, signal: AbortSignal | undefined): Promise<AgentClient> {
  const connecting = connectAgent(vm.channel, {
    timeoutMs: BOOT_TIMEOUT_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    return await connecting;
  } catch (error) {
    // The channel of a VM that ended closes first; the end says more.
    if (!HearthError.is(error) || error.code !== 'AGENT_DISCONNECTED') throw error;
    await vm.kill();
    throw await vmExitedError(vm);
  }
}
