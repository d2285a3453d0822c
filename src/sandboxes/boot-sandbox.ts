/** Starts the VM of a sandbox from its own disk: boots it, or lets it go on from a saved one. */
import { join } from 'node:path';
import { HearthError } from '../errors/index.js';
import { startDetachedVm, type VmSpec } from '../vmm/index.js';
import { renewHostKeys } from './guest-host-keys.js';
import { endCommands, giveIdentity } from './guest-identity.js';
import { LEAST_MEMORY_MIB } from './machine.js';
import { configureNetwork, macOf, networkDevice } from './network/network-device.js';
import type { SandboxRecord } from './sandbox-record.js';
import { type OnAgent, SandboxVm } from './sandbox-vm.js';
import type { StartSource } from './start-source.js';
import { seedWorkspace } from './workspace/seed-workspace.js';

export interface BootSandboxOptions {
  readonly directory: string;
  readonly signal?: AbortSignal;
  readonly onPhase?: (phase: 'boot' | 'ready') => void;
  /** Goes on from this; its disk is the sandbox's own by now. */
  readonly source?: StartSource;
  readonly onAgent: OnAgent;
  /** Called as soon as there is a process: what follows may fail, or we may be killed. */
  readonly onVmm: (vm: SandboxVm) => Promise<void>;
}

/** Long enough for a crowded machine under emulation; a VM that ends early is noticed at once. */
const BOOT_TIMEOUT_MS = 120_000;
const RESUME_TIMEOUT_MS = 15_000;
const GROW_TIMEOUT_MS = 120_000;

/**
 * Starts the VM and waits for its agent.
 *
 * @throws {HearthError} what the VMM throws, `VM_EXITED` with the end of the console, `AGENT_TIMEOUT`. No
 *   process is left then.
 */
export async function bootSandbox(record: SandboxRecord, options: BootSandboxOptions): Promise<SandboxVm> {
  const { directory, signal, onPhase, source } = options;
  const passed = signal === undefined ? {} : { signal };
  if (source === undefined) onPhase?.('boot');
  const vm = await startDetachedVm(
    {
      ...sandboxVmSpec(record, directory),
      ...(source === undefined
        ? {}
        : {
            memory: { kind: 'copy-on-write', path: source.memoryPath },
            resumeFrom: { statePath: source.statePath },
          }),
    },
    passed,
  );
  const sandboxVm = new SandboxVm(vm, options.onAgent);
  try {
    await options.onVmm(sandboxVm);
    await finishStart(sandboxVm, record, source, { directory, ...passed });
    onPhase?.('ready');
    return sandboxVm;
  } catch (error) {
    await vm.kill();
    throw error;
  }
}

/** The VM of a sandbox that boots. */
export function sandboxVmSpec(record: SandboxRecord, directory: string): VmSpec {
  const { id, environment, cpus, memoryMib, accelerator, disk, network } = record;
  return {
    directory,
    kernelPath: environment.kernelPath,
    initrdPath: environment.initrdPath,
    ...networkDevice(network.mode === 'full' ? macOf(id) : undefined),
    cpus,
    memoryMib,
    disks: [{ path: join(directory, disk.fileName), format: disk.format, readOnly: false }],
    accelerator,
  };
}

/**
 * Waits for the agent of a VM that starts, and makes the guest the sandbox's own. One that goes on from a saved VM
 * is given what no two VMs may share, each part acknowledged, before anybody else can reach it and before one of
 * its commands goes on.
 */
export async function finishStart(
  vm: SandboxVm,
  record: SandboxRecord,
  source: StartSource | undefined,
  { directory, ...options }: { readonly directory: string; readonly signal?: AbortSignal },
): Promise<void> {
  const timeoutMs = source === undefined ? BOOT_TIMEOUT_MS : RESUME_TIMEOUT_MS;
  const agent = await vm.agent({ timeoutMs, ...options });
  const hostname = hostName(record.name);
  if (source === undefined) await agent.setHostname(hostname, options);
  else await giveIdentity(agent, hostname, { keepMachineId: source.isOwn, ...options });
  if (record.network.mode === 'full') await configureNetwork(agent, macOf(record.id), options);
  if (record.disk.growPending) await agent.growRoot({ timeoutMs: GROW_TIMEOUT_MS, ...options });
  if (record.pidsLimit !== null) await agent.setLimits({ pidsMax: record.pidsLimit }, options);
  if (source?.commands === 'end') await endCommands(agent, options);
  if (record.workspace?.seedPending === true) {
    await seedWorkspace(agent, directory, record.defaults.user, options);
  }
  if (source?.commands === 'go on') await agent.allProcesses('go on', options);
  // Of those that go on, a server has the keys in its memory already.
  if (source !== undefined && source.commands !== 'none' && !source.isOwn)
    await renewHostKeys(agent, options);
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
