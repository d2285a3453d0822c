/**
 * The slot of a VM: its directory below the clones directory.
 *
 *     rootfs.ext4 | rootfs.qcow2   the disk
 *     rootfs.ext4.sha256           the stamp: SHA-256 of the template when it was cloned
 *     rootfs.ext4.size             the size stamp: decimal bytes, only once the disk has been grown
 *     clone.json                   whose it is and how it was made
 *
 * A slot appears whole, by a rename. Only growing changes it afterwards, in an order in which a size
 * stamp never stands beside a disk that is not grown.
 */
import { lstat, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { readFileBounded, syncDirectory, writeFileAtomic } from '../fsx/index.js';
import { CLONE_RUNGS, type CloneRung } from './clone-disk.js';
import { diskError, onDisk } from './disk-error.js';
import type { DiskFormat } from './qcow2.js';

const STAMP_FILE = 'rootfs.ext4.sha256';
const SIZE_STAMP_FILE = 'rootfs.ext4.size';
const RECORD_FILE = 'clone.json';
const MAX_STAMP_BYTES = 4096;
const MAX_RECORD_BYTES = 64 * 1024;

export type Growth = 'none' | 'offline' | 'online';

export interface CloneRecord {
  readonly schemaVersion: 1;
  /** The id as its owner gave it, before it became a directory name. */
  readonly vmId: string;
  readonly template: string;
  readonly templatePath: string;
  readonly rung: CloneRung;
  readonly format: DiskFormat;
  readonly backingPath: string | null;
  readonly readOnly: boolean;
  /** How the disk was grown; written before the size stamp, which says that it is. */
  readonly growth: Growth;
  readonly virtualSizeBytes: number;
  /** What the VM saw before the disk was grown: at first the size of the template. */
  readonly ungrownBytes: number;
  /** The disk's mtime when it was made, in ns: another one means that a guest has written to it. */
  readonly diskMtimeNs: string;
}

export interface Slot {
  readonly directory: string;
  readonly record: CloneRecord;
  readonly diskPath: string;
}

export function diskFileName(format: DiskFormat): string {
  return format === 'qcow2' ? 'rootfs.qcow2' : 'rootfs.ext4';
}

/** The error of a slot that is not what a clone leaves; releasing it is the only cure. */
export function slotInvalid(path: string, what: string, cause?: unknown): HearthError {
  return new HearthError('CLONE_INVALID', `${path} ${what}`, {
    hint: 'Run `hearth disk release` for that VM and clone again; what its disk holds is lost.',
    details: { path, what },
    cause,
  });
}

/**
 * What stands in the slot `directory`, or undefined when there is nothing (an empty directory is nothing).
 *
 * @throws {HearthError} `CLONE_INVALID` when it is not a whole clone.
 */
export async function readSlot(directory: string): Promise<Slot | undefined> {
  const stats = await statOrUndefined(directory);
  if (stats === undefined) return undefined;
  if (!stats.isDirectory()) throw slotInvalid(directory, 'is not a directory');
  const entries = await readdir(directory).catch((error: unknown) => {
    throw diskError(error, directory);
  });
  if (entries.length === 0) return undefined;

  const path = join(directory, RECORD_FILE);
  const text = await readSlotFile(path, MAX_RECORD_BYTES);
  if (text === undefined) throw slotInvalid(directory, `has no ${RECORD_FILE}`);
  const record = parseRecord(text, path);
  const diskPath = join(directory, diskFileName(record.format));
  const disk = await statOrUndefined(diskPath);
  if (!disk?.isFile()) throw slotInvalid(diskPath, 'is not a regular file');
  return { directory, record, diskPath };
}

const IS_VALID: { readonly [K in keyof CloneRecord]: (value: unknown) => boolean } = {
  schemaVersion: (value) => value === 1,
  vmId: isText,
  template: isText,
  templatePath: isText,
  rung: (value) => CLONE_RUNGS.some((rung) => rung === value),
  format: (value) => value === 'raw' || value === 'qcow2',
  backingPath: (value) => value === null || isText(value),
  readOnly: (value) => typeof value === 'boolean',
  growth: (value) => value === 'none' || value === 'offline' || value === 'online',
  virtualSizeBytes: isSize,
  ungrownBytes: isSize,
  diskMtimeNs: (value) => typeof value === 'string' && /^-?\d{1,20}$/.test(value),
};

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isRecord(value: unknown): value is CloneRecord {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map(Object.entries(value));
  return Object.entries(IS_VALID).every(([name, isValid]) => isValid(fields.get(name)));
}

function parseRecord(text: string, path: string): CloneRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw slotInvalid(path, 'is not the record of a clone: not JSON', error);
  }
  if (isRecord(value)) return value;
  throw slotInvalid(path, 'is not the record of a clone: a field is missing or wrong');
}

export async function writeRecord(directory: string, record: CloneRecord): Promise<void> {
  await writeFileAtomic(join(directory, RECORD_FILE), encodeRecord(record));
}

/**
 * Writes record and stamps of a slot that nobody sees yet, each synced; its directory is not.
 *
 * @param sizeStamp Undefined for a disk of the template's size.
 */
export async function writeFirstRecord(
  directory: string,
  record: CloneRecord,
  sha256: string,
  sizeStamp: number | undefined,
): Promise<void> {
  const files: [name: string, text: string][] = [
    [RECORD_FILE, encodeRecord(record)],
    [STAMP_FILE, sha256],
  ];
  if (sizeStamp !== undefined) files.push([SIZE_STAMP_FILE, String(sizeStamp)]);
  await Promise.all(
    files.map(([name, text]) =>
      onDisk(directory, () =>
        writeFile(join(directory, name), text, { flag: 'wx', mode: 0o600, flush: true }),
      ),
    ),
  );
}

function encodeRecord(record: CloneRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** @throws {HearthError} `CLONE_INVALID` when the stamp is missing or cannot be read. */
export async function readStamp(directory: string): Promise<string> {
  const path = join(directory, STAMP_FILE);
  const text = await readSlotFile(path, MAX_STAMP_BYTES);
  if (text === undefined) throw slotInvalid(path, 'is missing: cannot read stamp of the clone');
  return text.trim();
}

/**
 * The size the disk has been grown to, or undefined when it never was.
 *
 * @throws {HearthError} `CLONE_INVALID` naming the file and what it says when that is no size.
 */
export async function readSizeStamp(directory: string): Promise<number | undefined> {
  const path = join(directory, SIZE_STAMP_FILE);
  const text = await readSlotFile(path, MAX_STAMP_BYTES);
  if (text === undefined) return undefined;
  const sizeBytes = /^\d{1,16}$/.test(text.trim()) ? Number(text.trim()) : Number.NaN;
  if (Number.isSafeInteger(sizeBytes)) return sizeBytes;
  throw slotInvalid(path, `is not a size stamp: ${JSON.stringify(text.slice(0, 64))}`);
}

export async function writeSizeStamp(directory: string, sizeBytes: number): Promise<void> {
  await writeFileAtomic(join(directory, SIZE_STAMP_FILE), String(sizeBytes));
}

export async function removeSizeStamp(directory: string): Promise<void> {
  const path = join(directory, SIZE_STAMP_FILE);
  await onDisk(path, async () => {
    await rm(path);
    await syncDirectory(directory);
  });
}

async function readSlotFile(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const stats = await statOrUndefined(path);
    if (stats === undefined) return undefined;
    if (!stats.isFile()) throw slotInvalid(path, 'is not a regular file');
    return (await readFileBounded(path, maxBytes)).toString('utf8');
  } catch (error) {
    if (errnoOf(error) === undefined && !(HearthError.is(error) && error.code === 'STORE_CORRUPT'))
      throw error;
    throw slotInvalid(path, 'cannot be read', error);
  }
}

async function statOrUndefined(path: string) {
  return lstat(path, { bigint: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw diskError(error, path);
  });
}
