/**
 * The disk of a sandbox, exchanged: the new one gets a name that the directory does not have yet, the record names
 * it, then the old one goes. Whoever is killed in between leaves a file that nobody names.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cloneDisk, type DiskFormat } from '../../disks/index.js';
import type { SandboxDisk, SandboxRecord } from '../sandbox-record.js';
import { bootableOf } from '../start-source.js';

export interface DiskTemplate {
  readonly path: string;
  readonly format: DiskFormat;
  /** Default: that of the template. */
  readonly sizeBytes?: number;
  /** The file system in it is smaller than the disk. */
  readonly growPending?: boolean;
}

export interface NewDiskOptions {
  /** Survives a power cut when it is there. Default true. */
  readonly durable?: boolean;
  readonly signal?: AbortSignal;
}

const DISK_NAME = /^disk(?:\.\d+)?$/;

/** Copies a disk into the directory under a new name; it depends on the template no more, only on what that reads from. */
export async function copyDisk(
  template: DiskTemplate,
  directory: string,
  { durable = true, signal }: NewDiskOptions = {},
): Promise<SandboxDisk> {
  const fileName = await freeName(directory);
  const clone = await cloneDisk(template.path, join(directory, fileName), {
    templateFormat: template.format,
    rungs: ['reflink', 'sparse-copy'],
    durable,
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    fileName,
    format: clone.format,
    sizeBytes: template.sizeBytes ?? clone.virtualSizeBytes,
    growPending: template.growPending ?? false,
  };
}

/** A disk as the environment has it, of the size that the sandbox has. */
export async function freshDisk(
  record: SandboxRecord,
  directory: string,
  { durable = true, signal }: NewDiskOptions = {},
): Promise<SandboxDisk> {
  const fileName = await freeName(directory);
  const clone = await cloneDisk(bootableOf(record).rootfsPath, join(directory, fileName), {
    sizeBytes: record.disk.sizeBytes,
    durable,
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    fileName,
    format: clone.format,
    sizeBytes: clone.virtualSizeBytes,
    growPending: clone.growth === 'online',
  };
}

/** Removes the disks of the directory that the record does not name. */
export async function removeOtherDisks({ disk }: SandboxRecord, directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  const others = names.filter((name) => DISK_NAME.test(name) && name !== disk.fileName);
  await Promise.all(others.map((name) => rm(join(directory, name), { force: true })));
}

async function freeName(directory: string): Promise<string> {
  const names = new Set(await readdir(directory));
  for (let number = 0; ; number += 1) {
    const name = number === 0 ? 'disk' : `disk.${number}`;
    if (!names.has(name)) return name;
  }
}
