/**
 * The disk of a sandbox, opened for reading: that of a stopped one as it lies there, that of a running one as it was
 * at one moment.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DiskReader } from '../../disks/index.js';
import { Ext4Reader } from '../../ext4/index.js';
import type { Sandbox } from '../sandbox.js';
import { stateConflict } from '../sandbox-errors.js';
import { hasVm } from '../sandbox-record.js';
import { captureDisk, DISK_FILE } from '../snapshots/capture.js';

export interface OpenedDisk {
  readonly disk: DiskReader;
  readonly files: Ext4Reader;
}

interface Given {
  readonly signal?: AbortSignal;
}

const COPY_PREFIX = 'look-';
const SYNC_TIMEOUT_MS = 30_000;
/** Copies of disks that somebody reads; what else is called so was left by a process that was killed. */
const inUse = new Set<string>();

/**
 * Reads the disk of a sandbox piece by piece.
 *
 * A running one is told to write back what it holds in memory, then stands still while its disk is copied (an
 * overlay: what it wrote since it was made), and goes on; the copy is read and removed. A VM that stands still has
 * all of its disk in the file. The guest has no part in that but the first step, and the copy is consistent
 * without it, as after a power cut.
 *
 * @throws {HearthError} `SANDBOX_STATE_CONFLICT` when a stopped one is started meanwhile.
 */
export async function* readDisk<T>(
  sandbox: Sandbox,
  given: Given,
  body: (opened: OpenedDisk) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  given.signal?.throwIfAborted();
  const directory = hasVm(sandbox.record.state) ? await copyOfRunning(sandbox, given) : undefined;
  if (directory === undefined) {
    yield* readStopped(sandbox, body);
    return;
  }
  try {
    await using disk = await DiskReader.open(join(directory, DISK_FILE), sandbox.record.disk.format);
    yield* body({ disk, files: await Ext4Reader.open(disk) });
  } finally {
    await rm(directory, { recursive: true, force: true });
    inUse.delete(basename(directory));
  }
}

async function* readStopped<T>(
  sandbox: Sandbox,
  body: (opened: OpenedDisk) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const before = sandbox.record;
  const check = (): void => {
    const { record } = sandbox;
    const isSame = record.disk === before.disk || record.disk.fileName === before.disk.fileName;
    if (hasVm(record.state) || !isSame || record.startedAt !== before.startedAt) {
      throw stateConflict(record, 'have its disk read as it was', 'stop');
    }
  };
  try {
    const path = join(sandbox.directory, before.disk.fileName);
    await using disk = await DiskReader.open(path, before.disk.format);
    for await (const piece of body({ disk, files: await Ext4Reader.open(disk) })) {
      check();
      yield piece;
    }
  } catch (error) {
    // What looks like damage may be what a VM writes at this moment.
    check();
    throw error;
  }
  check();
}

/** Undefined: it has no VM after all. */
async function copyOfRunning(sandbox: Sandbox, given: Given): Promise<string | undefined> {
  return await sandbox.exclusively(async (vm) => {
    await removeLeftovers(sandbox.directory);
    if (vm === undefined) return undefined;
    const runs = sandbox.record.state === 'running';
    if (runs) {
      // What a guest that does not answer holds in memory is lost to who looks at its disk.
      const agent = await vm.agent({ timeoutMs: SYNC_TIMEOUT_MS }).catch(() => undefined);
      await agent?.sync({ timeoutMs: SYNC_TIMEOUT_MS }).catch(() => {});
    }
    given.signal?.throwIfAborted();
    const directory = await mkdtemp(join(sandbox.directory, COPY_PREFIX));
    inUse.add(basename(directory));
    try {
      if (runs) await vm.vm.pause();
      try {
        await captureDisk(sandbox.record, sandbox.directory, directory, given);
      } finally {
        if (runs) await vm.vm.resume();
      }
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      inUse.delete(basename(directory));
      throw error;
    }
    if (runs) await (await vm.agent()).setClock().catch(() => {});
    return directory;
  });
}

async function removeLeftovers(directory: string): Promise<void> {
  const names = await readdir(directory);
  const left = names.filter((name) => name.startsWith(COPY_PREFIX) && !inUse.has(name));
  await Promise.all(left.map((name) => rm(join(directory, name), { recursive: true, force: true })));
}
