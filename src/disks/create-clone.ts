/** Making the slot of a VM that has none: everything in a staging directory, which the caller publishes. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { cloneDisk } from './clone-disk.js';
import type { CloneForVmOptions, Template } from './clone-types.js';
import { onDisk } from './disk-error.js';
import { mtimeNs } from './grow-clone.js';
import { growFileSystem, type ResizeExt4Options } from './resize-ext4.js';
import { type CloneRecord, diskFileName, type Growth, writeFirstRecord } from './slot.js';
import { syncFile } from './sparse-copy.js';

export interface CloneRequest {
  readonly vmId: string;
  readonly template: Template;
  /** Undefined: whatever size the disk has. */
  readonly targetBytes: number | undefined;
  /** A disk that has been grown before may be grown again. */
  readonly regrow: boolean;
  readonly resize2fsPath: string;
  readonly options: CloneForVmOptions;
}

/** The bounds and the program of a request's slow steps. */
export function resizeOptions({ resize2fsPath, options }: CloneRequest): ResizeExt4Options {
  const { signal, timeoutMs } = options;
  return {
    resize2fsPath,
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

/** Fills `staging` with a finished, synced slot; on an error the caller throws the directory away. */
export async function createClone(staging: string, request: CloneRequest): Promise<void> {
  const { template, options } = request;
  const { format = 'raw', growth: wanted = 'offline', signal, timeoutMs, rungs } = options;
  const sizeBytes = request.targetBytes ?? template.sizeBytes;
  const grows = sizeBytes > template.sizeBytes;
  const readOnly = options.readOnly === true && !grows;

  const working = join(staging, 'disk');
  const disk = await cloneDisk(template.path, working, {
    format,
    sizeBytes,
    readOnly,
    durable: false,
    ...(rungs === undefined ? {} : { rungs }),
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  let growth: Growth = disk.growth;
  if (grows && disk.format === 'raw' && wanted === 'offline') {
    await growFileSystem(working, resizeOptions(request));
    growth = 'offline';
  }
  const diskPath = join(staging, diskFileName(disk.format));
  await onDisk(working, () => rename(working, diskPath));

  const record: CloneRecord = {
    schemaVersion: 1,
    vmId: request.vmId,
    template: template.name,
    templatePath: template.path,
    ungrownBytes: template.sizeBytes,
    rung: disk.rung,
    format: disk.format,
    backingPath: disk.backingPath ?? null,
    readOnly,
    growth,
    virtualSizeBytes: sizeBytes,
    diskMtimeNs: await mtimeNs(diskPath),
  };
  // All at once: a journal takes them in one commit. A hard link is the template, not ours to open for writing.
  await Promise.all([
    onDisk(diskPath, async () => disk.rung !== 'hardlink' && syncFile(diskPath)),
    writeFirstRecord(staging, record, template.sha256, grows ? sizeBytes : undefined),
  ]);
}
