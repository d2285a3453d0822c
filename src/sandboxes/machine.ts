/**
 * A running VM of an environment: its own disk, a VMM process, and the agent that answered. What both `run` and
 * long-lived sandboxes stand on.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentClient } from '../agent/index.js';
import { cloneDisk, type DiskClone } from '../disks/index.js';
import { HearthError } from '../errors/index.js';
import type { HearthPaths } from '../fsx/index.js';
import { createQemuDriver, type Vm, type VmDriver, type VmSpec } from '../vmm/index.js';
import { type BootedVm, bootVm } from './boot.js';
import {
  type BootSnapshot,
  cloneSnapshotDisk,
  findBootSnapshot,
  makeBootSnapshot,
} from './boot-snapshots/boot-snapshot.js';
import { giveIdentity } from './guest-identity.js';
import type { MachineSpec } from './machine-spec.js';
import { configureNetwork, networkDevice, randomMac } from './network/network-device.js';
import { isWarmFailure } from './warm-failure.js';

/** How a machine came up: by booting, or from a boot snapshot. */
export type StartKind = 'cold' | 'warm';

export type MachinePhase = 'prepare' | 'clone' | 'boot' | 'resume' | 'ready';

export interface StartMachineOptions {
  readonly paths: HearthPaths;
  /** A fresh directory for this machine alone (0700): disk, console log. The caller removes it afterwards. */
  readonly directory: string;
  /** The guest's host name: letters, digits and dashes. */
  readonly hostname: string;
  /** `cold` boots. Default `warm`: resumes a boot snapshot, which is made first where there is none. */
  readonly start?: StartKind;
  readonly driver?: VmDriver;
  readonly signal?: AbortSignal;
  readonly onPhase?: (phase: MachinePhase) => void;
  /** Told why a warm start was not possible and the machine boots instead. */
  readonly onFallback?: (error: HearthError) => void;
}

/** Which boot snapshot a start used. */
export type UsedSnapshot = Pick<BootSnapshot, 'name' | 'isNew' | 'reason'>;

export interface Machine extends AsyncDisposable {
  readonly vm: Vm;
  readonly agent: AgentClient;
  readonly start: StartKind;
  /** What it was resumed from; undefined when it booted. */
  readonly snapshot: UsedSnapshot | undefined;
  /** Whole ms. `prepare` is above 0 for the start that made the boot snapshot. */
  readonly durationsMs: { readonly prepare: number; readonly clone: number; readonly boot: number };
  /** Stops the VM at once. Resolves when its process is gone. Idempotent. */
  close(): Promise<void>;
}

/** Less than this and Debian's kernel does not reach the agent. */
export const LEAST_MEMORY_MIB = 128;
const DISK_FILE = 'disk';
/** Long enough for a crowded machine under emulation; a VM that ends early is noticed at once. */
const BOOT_TIMEOUT_MS = 120_000;
const RESUME_TIMEOUT_MS = 15_000;
const GROW_TIMEOUT_MS = 120_000;

/**
 * Gives the environment a disk of its own, starts it, and waits for the agent.
 *
 * @throws {HearthError} `MEMORY_TOO_SMALL`, `ENVIRONMENT_BROKEN`, what cloning and the driver throw, `VM_EXITED`
 *   with the end of the console, `AGENT_TIMEOUT`. No process is left then.
 */
export async function startMachine(spec: MachineSpec, options: StartMachineOptions): Promise<Machine> {
  assertBootable(spec);
  const { start = 'warm', driver = createQemuDriver(), onFallback } = options;
  if (start === 'warm') {
    try {
      return await startWarm(spec, driver, options);
    } catch (error) {
      if (!isWarmFailure(error)) throw error;
      onFallback?.(error);
      await rm(join(options.directory, DISK_FILE), { force: true });
    }
  }
  return await startCold(spec, driver, options);
}

/**
 * Makes the boot snapshot of this specification where there is none, so that the next start is a warm one.
 *
 * @param options.verify Hashes the files of one that is there. Default false.
 */
export async function prepareMachine(
  spec: MachineSpec,
  {
    paths,
    driver = createQemuDriver(),
    signal,
    verify = false,
  }: Pick<StartMachineOptions, 'paths' | 'driver' | 'signal'> & { readonly verify?: boolean },
): Promise<UsedSnapshot> {
  assertBootable(spec);
  const found = await findBootSnapshot(spec, paths, { verify });
  const given = signal === undefined ? {} : { signal };
  return usedSnapshot(found ?? (await makeBootSnapshot(spec, { paths, driver, verify, ...given })));
}

const usedSnapshot = ({ name, isNew, reason }: BootSnapshot): UsedSnapshot => ({ name, isNew, reason });

function assertBootable({ memoryMib, environment }: MachineSpec): void {
  if (memoryMib < LEAST_MEMORY_MIB) {
    throw new HearthError(
      'MEMORY_TOO_SMALL',
      `${memoryMib} MiB of memory are too little for a VM, at least ${LEAST_MEMORY_MIB} MiB are needed`,
      {
        hint: 'Give more, for example --memory 512M.',
        details: { memoryMib, leastMib: LEAST_MEMORY_MIB },
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
}

async function startCold(
  spec: MachineSpec,
  driver: VmDriver,
  options: StartMachineOptions,
): Promise<Machine> {
  const { directory, signal, onPhase } = options;
  const given = signal === undefined ? {} : { signal };
  const startedAt = performance.now();
  onPhase?.('clone');
  const disk = await cloneDisk(spec.environment.rootfsPath, join(directory, DISK_FILE), {
    durable: false,
    ...(spec.diskBytes === undefined ? {} : { sizeBytes: spec.diskBytes }),
    ...given,
  });
  const clonedAt = performance.now();
  onPhase?.('boot');
  const mac = macFor(spec);
  const booted = await bootVm(driver, vmSpec(spec, directory, disk, mac), {
    timeoutMs: BOOT_TIMEOUT_MS,
    ...given,
  });
  try {
    await booted.agent.setHostname(options.hostname, given);
    if (disk.growth === 'online') await booted.agent.growRoot({ timeoutMs: GROW_TIMEOUT_MS, ...given });
    if (mac !== undefined) await configureNetwork(booted.agent, mac, given);
  } catch (error) {
    await booted.vm.kill();
    throw error;
  }
  onPhase?.('ready');
  return machineOf(booted, undefined, { startedAt, preparedAt: startedAt, clonedAt });
}

async function startWarm(
  spec: MachineSpec,
  driver: VmDriver,
  options: StartMachineOptions,
): Promise<Machine> {
  const { directory, paths, signal, onPhase } = options;
  const given = signal === undefined ? {} : { signal };
  const startedAt = performance.now();
  let snapshot = await findBootSnapshot(spec, paths);
  let preparedAt = startedAt;
  if (snapshot === undefined) {
    onPhase?.('prepare');
    snapshot = await makeBootSnapshot(spec, { paths, driver, ...given });
    preparedAt = performance.now();
  }
  onPhase?.('resume');
  const disk = await cloneSnapshotDisk(snapshot, join(directory, DISK_FILE));
  const clonedAt = performance.now();
  const mac = macFor(spec);
  const booted = await bootVm(driver, resumeSpec(vmSpec(spec, directory, disk, mac), snapshot), {
    timeoutMs: RESUME_TIMEOUT_MS,
    ...given,
  }).catch(async (error: unknown) => {
    if (isWarmFailure(error)) await rm(snapshot.directory, { recursive: true, force: true });
    throw error;
  });
  try {
    await giveIdentity(booted.agent, options.hostname, given);
    if (mac !== undefined) await configureNetwork(booted.agent, mac, given);
  } catch (error) {
    await booted.vm.kill();
    throw error;
  }
  onPhase?.('ready');
  return machineOf(booted, usedSnapshot(snapshot), { startedAt, preparedAt, clonedAt });
}

/** A new one for every machine that has a network device. */
function macFor({ networkDevice: hasNetwork = false }: MachineSpec): string | undefined {
  return hasNetwork ? randomMac() : undefined;
}

function vmSpec(spec: MachineSpec, directory: string, disk: DiskClone, mac: string | undefined): VmSpec {
  const { environment, cpus, memoryMib, accelerator } = spec;
  return {
    directory,
    kernelPath: environment.kernelPath,
    ...(environment.initrdPath === undefined ? {} : { initrdPath: environment.initrdPath }),
    ...networkDevice(mac),
    cpus,
    memoryMib,
    disks: [{ path: disk.path, format: disk.format, readOnly: false, disposable: true }],
    accelerator,
  };
}

function resumeSpec(spec: VmSpec, snapshot: BootSnapshot): VmSpec {
  return {
    ...spec,
    memory: { kind: 'copy-on-write', path: snapshot.memoryPath },
    resumeFrom: { statePath: snapshot.statePath },
  };
}

interface Moments {
  readonly startedAt: number;
  readonly preparedAt: number;
  readonly clonedAt: number;
}

function machineOf(
  { vm, agent }: BootedVm,
  snapshot: UsedSnapshot | undefined,
  { startedAt, preparedAt, clonedAt }: Moments,
): Machine {
  const close = async (): Promise<void> => {
    agent.close();
    await vm.kill();
  };
  return {
    vm,
    agent,
    start: snapshot === undefined ? 'cold' : 'warm',
    snapshot,
    durationsMs: {
      prepare: Math.round(preparedAt - startedAt),
      clone: Math.round(clonedAt - preparedAt),
      boot: Math.round(performance.now() - clonedAt),
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
