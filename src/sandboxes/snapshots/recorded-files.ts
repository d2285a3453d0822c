/** Whether files are still those that were written down. */

import { stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { hashFile } from '../../disks/index.js';
import { HearthError } from '../../errors/index.js';
import { machineIdentity, qemuIdentity } from '../../vmm/index.js';
import { sandboxVmSpec } from '../boot-sandbox.js';
import type { SandboxRecord } from '../sandbox-record.js';
import { DISK_FILE } from './capture.js';
import type { RecordedFile, RecordedMachine, SnapshotRecord } from './snapshot-record.js';

interface Given {
  readonly signal?: AbortSignal;
}

export async function recordFile(path: string, given: Given): Promise<RecordedFile> {
  const [{ size: sizeBytes, mtimeMs }, sha256] = await Promise.all([stat(path), hashFile(path, given)]);
  return { sizeBytes, mtimeMs, sha256 };
}

/** Looks at size and time; a file of another time is hashed. */
async function isAsRecorded(path: string, recorded: RecordedFile, given: Given): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.size !== recorded.sizeBytes) return false;
  return found.mtimeMs === recorded.mtimeMs || (await hashFile(path, given)) === recorded.sha256;
}

const processor = (): string => cpus()[0]?.model ?? '';

/** What a saved VM of this sandbox depends on. */
export async function recordMachine(record: SandboxRecord, given: Given): Promise<RecordedMachine> {
  const { kernelPath, initrdPath } = record.environment;
  const [vmm, machine, kernel, initrd] = await Promise.all([
    qemuIdentity(),
    machineIdentity(sandboxVmSpec(record, '/')),
    recordFile(kernelPath, given),
    recordFile(initrdPath, given),
  ]);
  return { vmm, machine, processor: processor(), kernel, initrd };
}

/**
 * @throws {HearthError} `VM_SNAPSHOT_INCOMPATIBLE` naming what is not as it was for the saved VM.
 */
export async function assertFits(
  snapshot: SnapshotRecord,
  recorded: RecordedMachine,
  record: SandboxRecord,
  given: Given,
): Promise<void> {
  const { kernelPath, initrdPath } = record.environment;
  const [vmm, machine, kernel, initrd] = await Promise.all([
    qemuIdentity(),
    machineIdentity(sandboxVmSpec(record, '/')),
    isAsRecorded(kernelPath, recorded.kernel, given),
    isAsRecorded(initrdPath, recorded.initrd, given),
  ]);
  const checks: ReadonlyArray<readonly [what: string, same: boolean]> = [
    ['QEMU', vmm === recorded.vmm],
    ['the machine', machine === recorded.machine],
    ['the processor', processor() === recorded.processor],
    ['the kernel', kernel],
    ["hearth's agent", initrd],
  ];
  const changed = checks.filter(([, same]) => !same).map(([what]) => what);
  if (changed.length === 0) return;
  const { name, sandboxName } = snapshot;
  throw new HearthError(
    'VM_SNAPSHOT_INCOMPATIBLE',
    `the memory of snapshot ${name} does not fit any more: not as it was: ${changed.join(', ')}`,
    {
      hint: `Restore only its disk: hearth restore --disk-only ${sandboxName} ${name}`,
      details: { id: snapshot.id, name, changed },
    },
  );
}

/**
 * Memory and state are hashed every time; a disk, which may be large, when its size or time is not as it was.
 *
 * @throws {HearthError} `VM_SNAPSHOT_INVALID` naming the files of the snapshot that are not as they were written.
 */
export async function assertWhole(
  { id, name, files }: SnapshotRecord,
  directory: string,
  names: readonly string[],
  given: Given,
): Promise<void> {
  const checked = await Promise.all(
    names.map(async (file) => {
      const [recorded, path] = [files[file], join(directory, file)];
      if (recorded === undefined) return false;
      if (file === DISK_FILE) return await isAsRecorded(path, recorded, given);
      return (await hashFile(path, given).catch(() => undefined)) === recorded.sha256;
    }),
  );
  given.signal?.throwIfAborted();
  const damaged = names.filter((_name, index) => checked[index] !== true);
  if (damaged.length === 0) return;
  throw new HearthError(
    'VM_SNAPSHOT_INVALID',
    `the snapshot ${name} is damaged: ${damaged.join(', ')} not as written`,
    {
      hint: 'Remove it, and use another one.',
      details: { id, name, files: damaged },
    },
  );
}
