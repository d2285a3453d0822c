/** VMs that were saved when they had booted from an install: of no use once that is gone. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileBounded } from '../fsx/index.js';
import { measureTree } from './disk-usage.js';

const BOOT_SNAPSHOT = /^boot-[0-9a-f]+$/;
const RECORD_FILE = 'snapshot.json';
const MAX_RECORD_BYTES = 64 * 1024;

/** @returns The bytes that it freed. What cannot be read belongs to nobody here and stays. */
export async function removeSavedVms(snapshotsDirectory: string, installDirectory: string): Promise<number> {
  const names = await readdir(snapshotsDirectory).catch(() => []);
  let freedBytes = 0;
  for (const name of names.filter((candidate) => BOOT_SNAPSHOT.test(candidate))) {
    const directory = join(snapshotsDirectory, name);
    const rootfsPath = await rootfsOf(directory);
    if (rootfsPath === undefined || !rootfsPath.startsWith(`${installDirectory}/`)) continue;
    freedBytes += (await measureTree(directory)).allocatedBytes;
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
  return freedBytes;
}

async function rootfsOf(directory: string): Promise<string | undefined> {
  try {
    const text = (await readFileBounded(join(directory, RECORD_FILE), MAX_RECORD_BYTES)).toString('utf8');
    const { rootfsPath } = JSON.parse(text) as { readonly rootfsPath?: unknown };
    return typeof rootfsPath === 'string' ? rootfsPath : undefined;
  } catch {
    return undefined;
  }
}
