/**
 * Growing the disk of a clone that exists, so that neither a failure nor a kill at any point leaves
 * something that a later call takes for a grown disk.
 *
 * Offline (raw, as it was cloned): a copy is grown by resize2fs, the size stamp is written, the copy takes
 * the disk's name. A copy beside a stamp is therefore finished; a copy without one is rubbish.
 * Online (qcow2, or a guest has written to it): the record says the size first, then the disk is extended,
 * then the stamp is written; the whole is done again when the stamp is missing. hearth never parses a
 * file system that a guest has written: the guest grows it itself.
 */
import { lstat, rename, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors/index.js';
import { syncDirectory } from '../fsx/index.js';
import { type CloneDiskOptions, cloneDisk } from './clone-disk.js';
import { diskError, onDisk } from './disk-error.js';
import { wholeSectors } from './qcow2.js';
import { growQcow2, readVirtualSize } from './qcow2-file.js';
import { type ResizeExt4Options, resizeExt4Image, shrinkRefused } from './resize-ext4.js';
import {
  type CloneRecord,
  type Growth,
  readSizeStamp,
  removeSizeStamp,
  type Slot,
  slotInvalid,
  writeRecord,
  writeSizeStamp,
} from './slot.js';
import { syncFile } from './sparse-copy.js';

export interface GrowOptions extends ResizeExt4Options {
  readonly growth: 'offline' | 'online';
}

const COPY_FILE = '.rootfs.ext4.growing';

/** The size a VM sees of the slot's disk. */
export async function virtualSize({ diskPath, record }: Slot): Promise<number> {
  if (record.format === 'qcow2') return readVirtualSize(diskPath);
  return (await onDisk(diskPath, () => lstat(diskPath))).size;
}

export async function mtimeNs(path: string): Promise<string> {
  return String((await onDisk(path, () => lstat(path, { bigint: true }))).mtimeNs);
}

/** Finishes or forgets a growth that was interrupted. Call it, under the slot's lock, before anything else. */
export async function recoverGrowth(slot: Slot): Promise<void> {
  const copy = join(slot.directory, COPY_FILE);
  if ((await readSizeStamp(slot.directory)) === undefined) {
    await onDisk(copy, () => rm(copy, { force: true }));
    return;
  }
  try {
    await rename(copy, slot.diskPath);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw diskError(error, copy);
  }
}

/**
 * How the slot's disk came to the size of its stamp. Only an offline growth can have been killed between
 * the stamp and the record.
 */
export function growthOf({ record }: Slot, sizeStamp: number | undefined): Growth {
  if (sizeStamp === undefined) return 'none';
  return record.growth === 'none' ? 'offline' : record.growth;
}

/**
 * Compares the disk's size with what the slot says of it.
 *
 * @throws {HearthError} `CLONE_INVALID` when something else has changed its size, for example a
 *   `resizeExt4Image` that failed.
 */
export function assertKnownSize(slot: Slot, currentBytes: number, sizeStamp: number | undefined): void {
  const { ungrownBytes, virtualSizeBytes, growth, format } = slot.record;
  const begun = growth === 'online' ? [virtualSizeBytes] : [];
  const expected = sizeStamp === undefined ? [ungrownBytes, ...begun] : [sizeStamp];
  const sizes = format === 'qcow2' ? expected.map(wholeSectors) : expected;
  if (sizes.includes(currentBytes)) return;
  throw slotInvalid(
    slot.diskPath,
    `has ${currentBytes} bytes, ${sizes.join(' or ')} are expected: a resize did not finish`,
  );
}

/**
 * Makes a slot's disk one that may be written to: a hard link to the template becomes a disk of its own,
 * through a copy and a rename.
 *
 * @returns The slot as it is now.
 */
export async function makeIndependent(slot: Slot, options: ResizeExt4Options): Promise<Slot> {
  if (!(await isHardLink(slot)))
    return slot.record.readOnly ? rewriteRecord(slot, { readOnly: false }) : slot;
  const copy = await copyDisk(slot, options);
  await onDisk(copy.path, () => rename(copy.path, slot.diskPath));
  return rewriteRecord(slot, { rung: copy.rung, readOnly: false, diskMtimeNs: await mtimeNs(slot.diskPath) });
}

/**
 * Takes the size stamp off a slot that is to grow beyond it, as if the disk had been cloned at that size.
 *
 * @returns The slot as it is now.
 */
export async function forgetSize(slot: Slot, targetBytes: number): Promise<Slot> {
  const sizeStamp = await readSizeStamp(slot.directory);
  if (sizeStamp === undefined || sizeStamp === targetBytes) return slot;
  if (targetBytes < sizeStamp) throw shrinkRefused(slot.diskPath, sizeStamp, targetBytes);
  const forgotten = await rewriteRecord(slot, { ungrownBytes: sizeStamp, virtualSizeBytes: sizeStamp });
  await removeSizeStamp(slot.directory);
  return forgotten;
}

/**
 * Grows the slot's disk to `targetBytes` and stamps it. The slot has no size stamp yet.
 *
 * @returns The slot as it is now.
 * @throws {HearthError} Those of `resizeExt4Image` and `growQcow2`; the disk is then as it was, or, if it
 *   grows online, larger without a stamp, which the next call makes good.
 */
export async function growClone(slot: Slot, targetBytes: number, options: GrowOptions): Promise<Slot> {
  const currentBytes = await virtualSize(slot);
  if (targetBytes < currentBytes) throw shrinkRefused(slot.diskPath, currentBytes, targetBytes);
  const hardLink = await isHardLink(slot);
  const written = !hardLink && (await mtimeNs(slot.diskPath)) !== slot.record.diskMtimeNs;
  if (slot.record.format === 'raw' && !written && options.growth === 'offline') {
    return growOffline(slot, targetBytes, options);
  }
  return growOnline(hardLink ? await makeIndependent(slot, options) : slot, targetBytes);
}

async function growOffline(slot: Slot, targetBytes: number, options: ResizeExt4Options): Promise<Slot> {
  const copy = await copyDisk(slot, options);
  try {
    await resizeExt4Image(copy.path, targetBytes, options);
    await onDisk(copy.path, () => syncFile(copy.path));
  } catch (error) {
    await rm(copy.path, { force: true });
    throw error;
  }
  await writeSizeStamp(slot.directory, targetBytes);
  await onDisk(slot.diskPath, () => rename(copy.path, slot.diskPath));
  await onDisk(slot.directory, () => syncDirectory(slot.directory));
  return rewriteRecord(slot, {
    rung: copy.rung,
    readOnly: false,
    growth: 'offline',
    virtualSizeBytes: targetBytes,
    diskMtimeNs: await mtimeNs(slot.diskPath),
  });
}

async function growOnline(slot: Slot, targetBytes: number): Promise<Slot> {
  const growth: Growth = 'online';
  const grown = await rewriteRecord(slot, { growth, virtualSizeBytes: targetBytes });
  if (slot.record.format === 'qcow2') await growQcow2(slot.diskPath, targetBytes);
  else {
    await onDisk(slot.diskPath, () => truncate(slot.diskPath, targetBytes));
    await onDisk(slot.diskPath, () => syncFile(slot.diskPath));
  }
  await writeSizeStamp(slot.directory, targetBytes);
  return grown;
}

async function copyDisk(slot: Slot, { signal, timeoutMs }: ResizeExt4Options) {
  const path = join(slot.directory, COPY_FILE);
  const options: CloneDiskOptions = {
    format: 'raw',
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
  return cloneDisk(slot.diskPath, path, options);
}

async function rewriteRecord(slot: Slot, changes: Partial<CloneRecord>): Promise<Slot> {
  const record = { ...slot.record, ...changes };
  await writeRecord(slot.directory, record);
  return { ...slot, record };
}

/** Same device and inode as the template; a link count tells nothing, others may link to the template. */
async function isHardLink({ diskPath, record }: Slot): Promise<boolean> {
  if (record.format !== 'raw') return false;
  const disk = await onDisk(diskPath, () => lstat(diskPath, { bigint: true }));
  const template = await lstat(record.templatePath, { bigint: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw diskError(error, record.templatePath);
  });
  return template !== undefined && disk.dev === template.dev && disk.ino === template.ino;
}
