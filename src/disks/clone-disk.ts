/**
 * The clone ladder: a writable disk from a template by the cheapest way that the file system and the
 * VMM allow.
 *
 * 1. reflink: FICLONE shares the blocks; xfs and btrfs, cost independent of the size.
 * 2. hardlink: only for a disk that nobody writes to.
 * 3. overlay: a qcow2 header over the template; any file system, but the VMM must read qcow2, and the
 *    template must stay where it is for as long as the clone lives.
 * 4. sparse-copy: any file system, any VMM; costs what the template has allocated.
 *
 * The template is only ever opened for reading.
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { chmod, copyFile, link, lstat, open, rename, rm, truncate } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { errnoOf, HearthError } from '../errors/index.js';
import { syncDirectory } from '../fsx/index.js';
import { diskError, onDisk } from './disk-error.js';
import { type DiskFormat, encodeQcow2Overlay } from './qcow2.js';
import { readVirtualSize } from './qcow2-file.js';
import { assertDiskSize, shrinkRefused } from './resize-ext4.js';
import { sparseCopy, syncFile } from './sparse-copy.js';

export const CLONE_RUNGS = ['reflink', 'hardlink', 'overlay', 'sparse-copy'] as const;

export type CloneRung = (typeof CLONE_RUNGS)[number];

export interface CloneDiskOptions {
  /** What the VMM reads; `auto` for one that reads both. Default `auto`. */
  readonly format?: DiskFormat | 'auto';
  /** Default `raw`. Never guessed: the first bytes of a raw disk are the guest's to write. */
  readonly templateFormat?: DiskFormat;
  /** Virtual size of the clone, at least that of the template, which is the default. */
  readonly sizeBytes?: number;
  /** Nobody will write to the clone. Default false. */
  readonly readOnly?: boolean;
  /** The rungs that may be used, in any order. Default all. */
  readonly rungs?: readonly CloneRung[];
  /** Resolve only when the clone would survive a power cut. Default true. */
  readonly durable?: boolean;
  readonly signal?: AbortSignal;
  /** For the sparse copy. Default 10 min. */
  readonly timeoutMs?: number;
}

export interface DiskClone {
  readonly path: string;
  readonly rung: CloneRung;
  readonly format: DiskFormat;
  readonly virtualSizeBytes: number;
  /** The file that an overlay reads from, and that must outlive it. */
  readonly backingPath: string | undefined;
  /** `online`: the disk is larger than the file system in it, which the guest has to grow. */
  readonly growth: 'none' | 'online';
}

/** What a file system answers when it has no such thing as a reflink, or none between these two files. */
const NO_REFLINK = new Set([
  'ENOTSUP',
  'EOPNOTSUPP',
  'EXDEV',
  'EINVAL',
  'ENOSYS',
  'ENOTTY',
  'EPERM',
  'ETXTBSY',
]);
const NO_HARD_LINK = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * Clones the disk `templatePath` to `destinationPath`, which must not exist, in an existing directory.
 * It appears complete, by a rename, or not at all. Mode 0600, except for a hard link, which is the template.
 *
 * @throws {HearthError} `CLONE_EXISTS`, `DISK_SHRINK_REFUSED`, `SIZE_INVALID`, `DISK_FULL`,
 *   `CLONE_RUNG_UNAVAILABLE` when no allowed rung gives the format asked for, `FILE_NOT_FOUND` or
 *   `FILE_UNREADABLE` for either path, `DISK_FORMAT_INVALID` for a template that is not the qcow2 it is said
 *   to be; rejects with `signal.reason`. Nothing is left behind.
 */
export async function cloneDisk(
  templatePath: string,
  destinationPath: string,
  options: CloneDiskOptions = {},
): Promise<DiskClone> {
  const { signal, durable = true } = options;
  signal?.throwIfAborted();
  const template = resolve(templatePath);
  const path = resolve(destinationPath);
  const plan = await planClone(template, path, options);

  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    for (const rung of plan.rungs) {
      if (!(await CLIMB[rung](temporary, plan))) {
        await rm(temporary, { force: true });
        continue;
      }
      signal?.throwIfAborted();
      if (durable && rung !== 'hardlink') await syncFile(temporary);
      await rename(temporary, path);
      if (durable) await syncDirectory(dirname(path));
      const format = rung === 'overlay' ? 'qcow2' : plan.templateFormat;
      return {
        path,
        rung,
        format,
        virtualSizeBytes: rung === 'overlay' ? overlaySize(plan) : plan.sizeBytes,
        backingPath: rung === 'overlay' ? template : undefined,
        growth: plan.sizeBytes > plan.templateBytes ? 'online' : 'none',
      };
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw diskError(error, path);
  }
  throw noRung(plan);
}

interface ClonePlan {
  readonly template: string;
  readonly path: string;
  readonly templateFormat: DiskFormat;
  readonly templateBytes: number;
  readonly sizeBytes: number;
  readonly rungs: readonly CloneRung[];
  readonly options: CloneDiskOptions;
}

async function planClone(template: string, path: string, options: CloneDiskOptions): Promise<ClonePlan> {
  const { templateFormat = 'raw', format = 'auto', readOnly = false, rungs = CLONE_RUNGS } = options;
  const stats = await onDisk(template, () => lstat(template));
  if (!stats.isFile()) {
    throw new HearthError('FILE_UNREADABLE', `the template ${template} is not a regular file`, {
      hint: 'Give the path of the disk itself, not of a link or a directory.',
      details: { path: template },
    });
  }
  const templateBytes = templateFormat === 'raw' ? stats.size : await readVirtualSize(template);
  const sizeBytes = options.sizeBytes ?? templateBytes;
  assertDiskSize(sizeBytes);
  if (sizeBytes < templateBytes) throw shrinkRefused(template, templateBytes, sizeBytes);
  await assertAbsent(path);

  const grows = sizeBytes > templateBytes;
  const copies = (format === 'auto' || format === templateFormat) && !(grows && templateFormat === 'qcow2');
  const possible: Readonly<Record<CloneRung, boolean>> = {
    reflink: copies,
    hardlink: copies && readOnly && !grows,
    overlay: format !== 'raw',
    'sparse-copy': copies,
  };
  return {
    template,
    path,
    templateFormat,
    templateBytes,
    sizeBytes,
    rungs: CLONE_RUNGS.filter((rung) => possible[rung] && rungs.includes(rung)),
    options,
  };
}

async function assertAbsent(path: string): Promise<void> {
  const existing = await lstat(path).catch((error: unknown): Stats | undefined => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw diskError(error, path);
  });
  if (existing === undefined) return;
  throw new HearthError('CLONE_EXISTS', `there is something at ${path} already`, {
    hint: 'Remove it, or clone to another path.',
    details: { path },
  });
}

/** Each rung fills `temporary`, or says by false that it cannot here; any other trouble throws. */
const CLIMB: Readonly<Record<CloneRung, (temporary: string, plan: ClonePlan) => Promise<boolean>>> = {
  async reflink(temporary, plan) {
    const done = await attempt(NO_REFLINK, () =>
      copyFile(plan.template, temporary, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL),
    );
    if (done) await makeWritable(temporary, plan);
    return done;
  },

  async hardlink(temporary, plan) {
    return attempt(NO_HARD_LINK, () => link(plan.template, temporary));
  },

  async overlay(temporary, plan) {
    const overlay = encodeQcow2Overlay(plan.template, plan.templateFormat, plan.sizeBytes);
    const file = await open(temporary, 'wx', 0o600);
    try {
      for (const { offset, bytes } of overlay.segments) await file.write(bytes, 0, bytes.byteLength, offset);
      await file.truncate(overlay.fileBytes);
    } finally {
      await file.close();
    }
    return true;
  },

  async 'sparse-copy'(temporary, plan) {
    const { signal, timeoutMs } = plan.options;
    await sparseCopy(plan.template, temporary, {
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    await makeWritable(temporary, plan);
    return true;
  },
};

async function makeWritable(path: string, { sizeBytes, templateBytes }: ClonePlan): Promise<void> {
  await chmod(path, 0o600);
  if (sizeBytes > templateBytes) await truncate(path, sizeBytes);
}

async function attempt(refusals: ReadonlySet<string>, operation: () => Promise<void>): Promise<boolean> {
  try {
    await operation();
    return true;
  } catch (error) {
    if (refusals.has(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

function overlaySize({ template, templateFormat, sizeBytes }: ClonePlan): number {
  return encodeQcow2Overlay(template, templateFormat, sizeBytes).virtualSizeBytes;
}

function noRung({ template, path, rungs, options }: ClonePlan): HearthError {
  const tried = rungs.length === 0 ? 'none can give what is asked for' : `tried ${rungs.join(', ')}`;
  return new HearthError('CLONE_RUNG_UNAVAILABLE', `no way to clone ${template} to ${path}: ${tried}`, {
    hint: 'Allow more ways (`rungs`), or another disk format.',
    details: {
      template,
      path,
      tried: rungs,
      allowed: options.rungs ?? CLONE_RUNGS,
      format: options.format ?? 'auto',
      readOnly: options.readOnly ?? false,
    },
  });
}
