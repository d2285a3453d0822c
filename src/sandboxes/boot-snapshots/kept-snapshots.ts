/** Which saved VMs are kept, why, and which go: for `hearth cache`. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDuration } from '../../bytes/index.js';
import type { SavedVm, SavedVmsPruneOptions } from '../../environments/index.js';
import { type HearthPaths, withLock } from '../../fsx/index.js';
import {
  BOOT_FILES,
  BOOT_PREFIX,
  type FoundBoot,
  listBootSnapshots,
  snapshotsDirectory,
} from './boot-record.js';

interface AgedBoot extends FoundBoot {
  readonly unusedMs: number;
  readonly bytes: number;
  /** Nothing will ever resume it. */
  readonly isUseless: boolean;
}

const STAT_BLOCK_BYTES = 512;

/** Every saved VM, and why it is there. */
export async function listSavedVms(paths: HearthPaths): Promise<SavedVm[]> {
  return [...(await bootItems(paths)), ...(await namedItems(paths))];
}

async function bootItems(paths: HearthPaths): Promise<SavedVm[]> {
  const boots = await agedBoots(paths);
  return boots.map((boot) => ({
    name: boot.name,
    path: boot.directory,
    why: whyKept(boot),
    isRemovable: true,
  }));
}

function whyKept({ record, isUseless, unusedMs }: AgedBoot): string {
  if (record === undefined) return 'cannot be resumed: damaged, or of another version of hearth';
  if (isUseless) return `cannot be resumed: ${record.environment} is gone`;
  const { cpus, memoryMib, accelerator } = record.limits;
  const limits = `${cpus} CPU${cpus === 1 ? '' : 's'}, ${memoryMib} MiB, ${accelerator}`;
  return `warm starts of ${record.environment}, ${limits}; last used ${formatDuration(unusedMs)} ago`;
}

/** Those that users made. */
async function namedItems(paths: HearthPaths): Promise<SavedVm[]> {
  const root = snapshotsDirectory(paths);
  const names = await readdir(root).catch(() => []);
  return names
    .filter((name) => !name.startsWith('.') && !name.startsWith(BOOT_PREFIX))
    .sort()
    .map((name) => ({
      name,
      path: join(root, name),
      why: 'a snapshot of a sandbox; remove it with `hearth snapshot rm`',
      isRemovable: false,
    }));
}

async function agedBoots(paths: HearthPaths): Promise<AgedBoot[]> {
  return await Promise.all(
    (await listBootSnapshots(paths)).map(async (boot) => {
      const { directory, record } = boot;
      const used = await stat(directory).catch(() => undefined);
      const files = await Promise.all(
        BOOT_FILES.map((name) => stat(join(directory, name)).catch(() => undefined)),
      );
      const bytes = files.reduce((sum, found) => sum + (found?.blocks ?? 0) * STAT_BLOCK_BYTES, 0);
      const isUseless =
        record === undefined || (await stat(record.rootfsPath).catch(() => undefined)) === undefined;
      return { ...boot, bytes, isUseless, unusedMs: Math.max(0, Date.now() - (used?.mtimeMs ?? 0)) };
    }),
  );
}

/** Removes boot snapshots. A VM that runs keeps its memory although the file is gone. */
export async function pruneBootSnapshots(
  paths: HearthPaths,
  { olderThanMs, maxBytes, dryRun = false }: SavedVmsPruneOptions,
): Promise<{ names: string[]; bytes: number }> {
  const leastAgeMs = olderThanMs ?? (maxBytes === undefined ? 0 : Number.POSITIVE_INFINITY);
  let keptBytes = 0;
  const names: string[] = [];
  let bytes = 0;
  for (const boot of (await agedBoots(paths)).sort((a, b) => a.unusedMs - b.unusedMs)) {
    const fitsBudget = maxBytes === undefined || keptBytes + boot.bytes <= maxBytes;
    if (!boot.isUseless && boot.unusedMs < leastAgeMs && fitsBudget) {
      keptBytes += boot.bytes;
      continue;
    }
    if (!dryRun) {
      // Not while somebody makes it anew.
      await withLock(join(snapshotsDirectory(paths), '.locks', boot.name), async () => {
        await rm(boot.directory, { recursive: true, force: true });
      });
    }
    names.push(boot.name);
    bytes += boot.bytes;
  }
  return { names, bytes };
}
