/** Boots the VM of a sandbox from its own disk. */
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import { startDetachedVm } from '../vmm/index.js';
import { LEAST_MEMORY_MIB } from './machine.js';
import type { SandboxRecord } from './sandbox-record.js';
import { SandboxVm } from './sandbox-vm.js';

export interface BootSandboxOptions {
  readonly directory: string;
  readonly signal?: AbortSignal;
  readonly onPhase?: (phase: 'boot' | 'ready') => void;
  /** Called as soon as there is a process: what follows may fail, or we may be killed. */
  readonly onVmm: (vm: SandboxVm) => Promise<void>;
}

/** Long enough for a crowded machine under emulation; a VM that ends early is noticed at once. */
const BOOT_TIMEOUT_MS = 120_000;
const GROW_TIMEOUT_MS = 120_000;

/**
 * Starts the VM and waits for its agent.
 *
 * @throws {HearthError} what the VMM throws, `VM_EXITED` with the end of the console, `AGENT_TIMEOUT`. No
 *   process is left then.
 */
export async function bootSandbox(record: SandboxRecord, options: BootSandboxOptions): Promise<SandboxVm> {
  const { directory, signal, onPhase } = options;
  const passed = signal === undefined ? {} : { signal };
  onPhase?.('boot');
  const vm = await startDetachedVm(
    {
      directory,
      kernelPath: record.environment.kernelPath,
      initrdPath: record.environment.initrdPath,
      kernelArgs: [],
      cpus: record.cpus,
      memoryMib: record.memoryMib,
      disks: [{ path: join(directory, record.disk.fileName), format: record.disk.format, readOnly: false }],
      accelerator: record.accelerator,
    },
    passed,
  );
  const sandboxVm = new SandboxVm(vm);
  try {
    await options.onVmm(sandboxVm);
    await finishBoot(sandboxVm, record, passed);
    onPhase?.('ready');
    return sandboxVm;
  } catch (error) {
    await vm.kill();
    throw error;
  }
}

/** Waits for the agent of a VM that boots, and makes the guest the sandbox's own. */
export async function finishBoot(
  vm: SandboxVm,
  record: SandboxRecord,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const agent = await vm.agent({ timeoutMs: BOOT_TIMEOUT_MS, ...options });
  if (record.disk.growPending) await agent.growRoot({ timeoutMs: GROW_TIMEOUT_MS, ...options });
  await agent.setHostname(hostName(record.name), options);
}

/** A name of the sandbox that the kernel takes: RFC 1123 has no `_`, and a label ends in a letter or digit. */
function hostName(name: string): string {
  return name.replaceAll('_', '-').replace(/[-.]+$/, '');
}

/** @throws {HearthError} `MEMORY_TOO_SMALL`. */
export function assertMemory(memoryMib: number): void {
  if (memoryMib >= LEAST_MEMORY_MIB) return;
  throw new HearthError(
    'MEMORY_TOO_SMALL',
    `${memoryMib} MiB of memory are too little for a VM, at least ${LEAST_MEMORY_MIB} MiB are needed`,
    {
      hint: 'Give more, for example --memory 512M.',
      details: { memoryMib, leastMib: LEAST_MEMORY_MIB },
    },
  );
}
