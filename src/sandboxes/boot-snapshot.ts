/**
 * Boot snapshots: the first start of an environment boots once and freezes the VM when its agent has answered;
 * later starts map that memory copy-on-write and go on from there.
 *
 *     data/snapshots/boot-<key>/   memory   guest memory, sparse, shared by every VM that starts from it
 *                                  state    processors and devices
 *                                  disk     what the boot wrote, over the environment's rootfs
 *                                  snapshot.json
 *
 * The key stands for everything that must be the same for the saved state to fit: files, VMM, processors, memory,
 * disk, accelerator. So a foreign or outdated snapshot is never found, and one whose files are not as recorded is
 * removed and made anew.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { AgentClient } from '../agent/index.js';
import { cloneDisk, type DiskClone, type DiskFormat } from '../disks/index.js';
import { HearthError } from '../errors/index.js';
import { type HearthPaths, publishDirectory, withLock } from '../fsx/index.js';
import { qemuIdentity, type VmDriver } from '../vmm/index.js';
import { bootVm } from './boot.js';
import type { MachineSpec } from './machine-spec.js';
import { NOBODYS_MAC, networkDevice } from './network/network-device.js';

export interface BootSnapshot {
  readonly directory: string;
  readonly memoryPath: string;
  readonly statePath: string;
  readonly diskPath: string;
  readonly diskFormat: DiskFormat;
}

export interface BootSnapshotOptions {
  readonly paths: HearthPaths;
  readonly driver: VmDriver;
  readonly signal?: AbortSignal;
}

interface Recorded {
  readonly schema: number;
  readonly environment: string;
  readonly rootfsPath: string;
  readonly diskFormat: DiskFormat;
  /** Sizes and modification times of the other files, by name. */
  readonly files: Readonly<Record<string, { readonly sizeBytes: number; readonly mtimeMs: number }>>;
}

const SCHEMA = 2;
const PREFIX = 'boot-';
const RECORD_FILE = 'snapshot.json';
const FILES = ['memory', 'state', 'disk'] as const;
const BOOT_TIMEOUT_MS = 120_000;
const KEY_CHARS = 24;
const WARM_UP_TIMEOUT_MS = 10_000;

/** The directory of all snapshots. */
function snapshotsDirectory(paths: HearthPaths): string {
  return join(paths.data, 'snapshots');
}

async function fileFacts(path: string): Promise<readonly unknown[]> {
  const { size, mtimeMs, ino, dev } = await stat(path);
  return [path, size, mtimeMs, ino, dev];
}

/** Stands for everything that a saved VM of this specification depends on. */
export async function bootSnapshotKey({
  environment,
  cpus: cpuCount,
  memoryMib,
  diskBytes,
  accelerator,
  networkDevice: hasNetwork = false,
}: MachineSpec): Promise<string> {
  const facts = [
    SCHEMA,
    await Promise.all(
      [environment.rootfsPath, environment.kernelPath, environment.initrdPath ?? ''].map(fileFacts),
    ),
    await qemuIdentity(),
    [cpuCount, memoryMib, diskBytes ?? null, accelerator, hasNetwork],
    // Under KVM the guest sees the host's processor.
    accelerator === 'kvm' ? cpus()[0]?.model : null,
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, KEY_CHARS);
}

/** The snapshot for this specification, or undefined when there is none whose files are as they were recorded. */
export async function findBootSnapshot(
  spec: MachineSpec,
  paths: HearthPaths,
): Promise<BootSnapshot | undefined> {
  return await openSnapshot(join(snapshotsDirectory(paths), `${PREFIX}${await bootSnapshotKey(spec)}`));
}

async function openSnapshot(directory: string): Promise<BootSnapshot | undefined> {
  try {
    const recorded = JSON.parse(await readFile(join(directory, RECORD_FILE), 'utf8')) as Recorded;
    const present = await Promise.all(FILES.map((name) => stat(join(directory, name))));
    const whole = FILES.every((name, index) => {
      const file = recorded.files[name];
      return file?.sizeBytes === present[index]?.size && file?.mtimeMs === present[index]?.mtimeMs;
    });
    if (recorded.schema !== SCHEMA || !whole) return undefined;
    return {
      directory,
      memoryPath: join(directory, 'memory'),
      statePath: join(directory, 'state'),
      diskPath: join(directory, 'disk'),
      diskFormat: recorded.diskFormat,
    };
  } catch {
    // Absent or damaged: either way there is none, and making it replaces what is there.
    return undefined;
  }
}

/**
 * Boots a VM of this specification and freezes it; finds the snapshot that another process made meanwhile.
 * Snapshots of environments that are gone are removed first.
 *
 * @throws {HearthError} What booting and saving throw; nothing is left then.
 */
export async function makeBootSnapshot(
  spec: MachineSpec,
  options: BootSnapshotOptions,
): Promise<BootSnapshot> {
  const root = snapshotsDirectory(options.paths);
  const name = `${PREFIX}${await bootSnapshotKey(spec)}`;
  const directory = join(root, name);
  const { signal } = options;
  return await withLock(
    join(root, '.locks', name),
    async () => {
      const found = await openSnapshot(directory);
      if (found !== undefined) return found;
      await removeOrphans(root);
      await rm(directory, { recursive: true, force: true });
      const staging = join(root, `.partial-${name}`);
      await rm(staging, { recursive: true, force: true });
      await mkdir(staging, { recursive: true, mode: 0o700 });
      try {
        const diskFormat = await freeze(spec, staging, options);
        await record(spec, staging, diskFormat);
        await publishDirectory(staging, directory);
      } catch (error) {
        await rm(staging, { recursive: true, force: true });
        throw error;
      }
      const made = await openSnapshot(directory);
      if (made === undefined) {
        throw new HearthError('INTERNAL', `the snapshot ${directory} cannot be read back`, {
          details: { directory },
        });
      }
      return made;
    },
    signal === undefined ? {} : { signal },
  );
}

async function freeze(
  { environment, cpus: cpuCount, memoryMib, diskBytes, accelerator, networkDevice: hasNetwork }: MachineSpec,
  staging: string,
  { driver, signal }: BootSnapshotOptions,
): Promise<DiskFormat> {
  const given = signal === undefined ? {} : { signal };
  const disk = await cloneDisk(environment.rootfsPath, join(staging, 'disk'), {
    durable: false,
    ...(diskBytes === undefined ? {} : { sizeBytes: diskBytes }),
    ...given,
  });
  const working = join(staging, 'vm');
  await mkdir(working, { mode: 0o700 });
  const { vm, agent } = await bootVm(
    driver,
    {
      directory: working,
      kernelPath: environment.kernelPath,
      ...(environment.initrdPath === undefined ? {} : { initrdPath: environment.initrdPath }),
      ...networkDevice(hasNetwork === true ? NOBODYS_MAC : undefined),
      cpus: cpuCount,
      memoryMib,
      disks: [{ path: disk.path, format: disk.format, readOnly: false, disposable: true }],
      accelerator,
      memory: { kind: 'file', path: join(staging, 'memory') },
    },
    { timeoutMs: BOOT_TIMEOUT_MS, ...given },
  );
  try {
    if (disk.growth === 'online') await agent.growRoot(given);
    await warmUp(agent, given);
    await agent.sync(given);
    await vm.save(join(staging, 'state'), given);
  } finally {
    agent.close();
    await vm.kill();
  }
  await chmod(join(staging, 'memory'), 0o600);
  await rm(working, { recursive: true, force: true });
  return disk.format;
}

/**
 * Runs the shortest command once, so that the loader, the C library and the agent's own way to a process are in the
 * guest's memory when it is frozen. An image without a shell is as good without.
 */
async function warmUp(agent: AgentClient, given: { readonly signal?: AbortSignal }): Promise<void> {
  const process = agent.exec({ argv: ['/bin/sh', '-c', ':'], timeoutMs: WARM_UP_TIMEOUT_MS }, given);
  process.stdout.resume();
  process.stderr.resume();
  await process.exited.catch((error: unknown) => {
    if (!HearthError.is(error) || error.code.startsWith('AGENT_')) throw error;
  });
}

async function record({ environment }: MachineSpec, staging: string, diskFormat: DiskFormat): Promise<void> {
  const files = await Promise.all(
    FILES.map(async (name) => {
      const { size, mtimeMs } = await stat(join(staging, name));
      return [name, { sizeBytes: size, mtimeMs }] as const;
    }),
  );
  const recorded: Recorded = {
    schema: SCHEMA,
    environment: environment.name,
    rootfsPath: environment.rootfsPath,
    diskFormat,
    files: Object.fromEntries(files),
  };
  await writeFile(join(staging, RECORD_FILE), `${JSON.stringify(recorded, null, 2)}\n`, { mode: 0o600 });
}

/** Removes boot snapshots whose environment is not there any more. */
async function removeOrphans(root: string): Promise<void> {
  const names = await readdir(root).catch(() => []);
  for (const name of names.filter((candidate) => candidate.startsWith(PREFIX))) {
    const text = await readFile(join(root, name, RECORD_FILE), 'utf8').catch(() => undefined);
    const path = text === undefined ? undefined : rootfsOf(text);
    if (path !== undefined && (await stat(path).catch(() => undefined)) === undefined) {
      await rm(join(root, name), { recursive: true, force: true });
    }
  }
}

function rootfsOf(text: string): string | undefined {
  try {
    const recorded = JSON.parse(text) as Partial<Recorded>;
    return typeof recorded.rootfsPath === 'string' ? recorded.rootfsPath : undefined;
  } catch {
    return undefined;
  }
}

/** A disk for a VM that starts from the snapshot. */
export async function cloneSnapshotDisk(snapshot: BootSnapshot, path: string): Promise<DiskClone> {
  return await cloneDisk(snapshot.diskPath, path, { templateFormat: snapshot.diskFormat, durable: false });
}
