/**
 * Boot snapshots: the first start of an environment boots once and freezes the VM when its agent has answered;
 * later starts map that memory copy-on-write and go on from there.
 *
 *     data/snapshots/boot-<key>/   memory   guest memory, sparse, shared by every VM that starts from it
 *                                  state    processors and devices
 *                                  disk     what the boot wrote, over the environment's rootfs
 *                                  snapshot.json   what it was made of, and the digests of the files
 *
 * The key stands for everything that must be the same for the saved state to fit: files, VMM, processors, memory,
 * disk, accelerator. So a foreign or outdated snapshot is never found, and one whose files are not as recorded is
 * removed and made anew.
 */
import { chmod, mkdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentClient } from '../../agent/index.js';
import { cloneDisk, type DiskClone, type DiskFormat } from '../../disks/index.js';
import { HearthError } from '../../errors/index.js';
import { type HearthPaths, publishDirectory, withLock } from '../../fsx/index.js';
import type { VmDriver } from '../../vmm/index.js';
import { bootVm } from '../boot.js';
import { giveIdentity } from '../guest-identity.js';
import type { MachineSpec } from '../machine-spec.js';
import { NOBODYS_MAC, networkDevice } from '../network/network-device.js';
import { type BootFacts, bootFactsOf, bootKey, changedParts, sameLimits } from './boot-facts.js';
import {
  BOOT_PREFIX,
  BOOT_SCHEMA,
  type BootRecord,
  damagedFiles,
  listBootSnapshots,
  readBootRecord,
  snapshotsDirectory,
  writeBootRecord,
} from './boot-record.js';

export interface BootSnapshot {
  readonly name: string;
  readonly directory: string;
  readonly memoryPath: string;
  readonly statePath: string;
  readonly diskPath: string;
  readonly diskFormat: DiskFormat;
  /** Made by this call rather than found. */
  readonly isNew: boolean;
  /** For people: why it was made, or that it fits. */
  readonly reason: string;
}

export interface BootSnapshotOptions {
  readonly paths: HearthPaths;
  readonly driver: VmDriver;
  readonly signal?: AbortSignal;
}

export interface FindBootSnapshotOptions {
  /** Hashes its files, also those that look untouched. Default false. */
  readonly verify?: boolean;
}

const BOOT_TIMEOUT_MS = 120_000;
const WARM_UP_TIMEOUT_MS = 10_000;
const SETTLE_MS = 500;
/** For so long one that no longer fits is kept after its last use: another version of hearth may still use it. */
const SUPERSEDED_LIFE_MS = 3_600_000;
const FITS = 'nothing that it depends on has changed';

/** The snapshot for this specification, or undefined when there is none whose files are as they were recorded. */
export async function findBootSnapshot(
  spec: MachineSpec,
  paths: HearthPaths,
  options: FindBootSnapshotOptions = {},
): Promise<BootSnapshot | undefined> {
  const found = await open(paths, nameOf(await bootFactsOf(spec)), options);
  return typeof found === 'string' ? undefined : found;
}

/** Stands for everything that a saved VM of this specification depends on. */
export async function bootSnapshotKey(spec: MachineSpec): Promise<string> {
  return bootKey(await bootFactsOf(spec), BOOT_SCHEMA);
}

const nameOf = (facts: BootFacts): string => `${BOOT_PREFIX}${bootKey(facts, BOOT_SCHEMA)}`;

/** A text says why there is none. */
async function open(
  paths: HearthPaths,
  name: string,
  { verify = false }: FindBootSnapshotOptions = {},
): Promise<BootSnapshot | 'absent' | `damaged: ${string}`> {
  const directory = join(snapshotsDirectory(paths), name);
  const record = await readBootRecord(directory);
  if (record === undefined) return 'absent';
  const damaged = await damagedFiles(directory, record, { full: verify });
  if (damaged.length > 0) return `damaged: ${damaged.join(', ')}`;
  const now = new Date();
  // When it was used last, for pruning by age. On a read-only home it stays as it is.
  await utimes(directory, now, now).catch(() => {});
  return {
    name,
    directory,
    memoryPath: join(directory, 'memory'),
    statePath: join(directory, 'state'),
    diskPath: join(directory, 'disk'),
    diskFormat: record.diskFormat,
    isNew: false,
    reason: FITS,
  };
}

/**
 * Boots a VM of this specification and freezes it; finds the snapshot that another process made meanwhile.
 * Snapshots of environments that are gone, and older ones that this one replaces, are removed first.
 *
 * @throws {HearthError} What booting and saving throw; nothing is left then.
 */
export async function makeBootSnapshot(
  spec: MachineSpec,
  options: BootSnapshotOptions & FindBootSnapshotOptions,
): Promise<BootSnapshot> {
  const { paths, signal } = options;
  const root = snapshotsDirectory(paths);
  const facts = await bootFactsOf(spec);
  const name = nameOf(facts);
  const directory = join(root, name);
  return await withLock(
    join(root, '.locks', name),
    async () => {
      const found = await open(paths, name, options);
      if (typeof found === 'object') return found;
      const others = await listBootSnapshots(paths);
      const reason =
        found === 'absent' ? whyAbsent(others, spec, facts) : `the one that was there is ${found}`;
      await removeUseless(others, spec, facts);
      await rm(directory, { recursive: true, force: true });
      const staging = join(root, `.partial-${name}`);
      await rm(staging, { recursive: true, force: true });
      await mkdir(staging, { recursive: true, mode: 0o700 });
      try {
        const diskFormat = await freeze(spec, staging, options);
        const { name: environment, rootfsPath } = spec.environment;
        const createdAt = new Date().toISOString();
        await writeBootRecord(staging, { environment, rootfsPath, diskFormat, createdAt, ...facts });
        await publishDirectory(staging, directory);
      } catch (error) {
        await rm(staging, { recursive: true, force: true });
        throw error;
      }
      const made = await open(paths, name);
      if (typeof made !== 'object') {
        throw new HearthError('INTERNAL', `the snapshot ${directory} cannot be read back: ${made}`, {
          details: { directory },
        });
      }
      return { ...made, isNew: true, reason };
    },
    signal === undefined ? {} : { signal },
  );
}

const isForSame = (record: BootRecord, { environment }: MachineSpec, { limits }: BootFacts): boolean =>
  record.environment === environment.name && sameLimits(record.limits, limits);

function whyAbsent(
  others: readonly { readonly record: BootRecord | undefined }[],
  spec: MachineSpec,
  facts: BootFacts,
): string {
  const last = others
    .map(({ record }) => record)
    .filter((record) => record !== undefined && isForSame(record, spec, facts))
    .sort((a, b) => ((a?.createdAt ?? '') < (b?.createdAt ?? '') ? 1 : -1))[0];
  if (last === undefined) return 'there was none for this environment with these limits';
  return `changed since the last one: ${changedParts(last.parts, facts.parts).join(', ')}`;
}

/** Removes what nothing will ever resume: of environments that are gone, of other versions, superseded ones. */
async function removeUseless(
  others: Awaited<ReturnType<typeof listBootSnapshots>>,
  spec: MachineSpec,
  facts: BootFacts,
): Promise<void> {
  for (const { directory, record } of others) {
    const isGone =
      record !== undefined && (await stat(record.rootfsPath).catch(() => undefined)) === undefined;
    const isSuperseded = record === undefined || isForSame(record, spec, facts);
    const usedAt =
      isSuperseded && !isGone ? (await stat(directory).catch(() => undefined))?.mtimeMs : undefined;
    const isUnused = usedAt !== undefined && Date.now() - usedAt > SUPERSEDED_LIFE_MS;
    if (isGone || isUnused) await rm(directory, { recursive: true, force: true });
  }
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
    // What the kernel puts off (callbacks, writing back) is done before, not in every VM after.
    await sleep(SETTLE_MS, undefined, given);
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
 * Does once what every VM will do first, so that what it reads from the disk is in the guest's memory when it is
 * frozen: takes an identity, and runs the shortest command, for the loader and the C library. An image without a
 * shell is as good without.
 */
async function warmUp(agent: AgentClient, given: { readonly signal?: AbortSignal }): Promise<void> {
  await giveIdentity(agent, 'hearth', given);
  const process = agent.exec({ argv: ['/bin/sh', '-c', ':'], timeoutMs: WARM_UP_TIMEOUT_MS }, given);
  process.stdout.resume();
  process.stderr.resume();
  await process.exited.catch((error: unknown) => {
    if (!HearthError.is(error) || error.code.startsWith('AGENT_')) throw error;
  });
}

/** A disk for a VM that starts from the snapshot. */
export async function cloneSnapshotDisk(snapshot: BootSnapshot, path: string): Promise<DiskClone> {
  return await cloneDisk(snapshot.diskPath, path, { templateFormat: snapshot.diskFormat, durable: false });
}
