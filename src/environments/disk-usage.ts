/** How much a directory tree takes up. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileError } from '../errors/index.js';

export interface TreeSize {
  /** Lengths of the files. */
  readonly apparentBytes: number;
  /** What they occupy on the disk: holes do not count, blocks that a reflink shares count in each file. */
  readonly allocatedBytes: number;
}

/** Of `stat`: blocks are counted in units of 512 bytes whatever the file system uses. */
const STAT_BLOCK_BYTES = 512;

/**
 * Adds up a tree without following symlinks; a file with several names in it counts once. What disappears
 * meanwhile is left out; a tree that is not there is empty.
 */
export async function measureTree(path: string): Promise<TreeSize> {
  const seen = new Set<string>();
  let apparentBytes = 0;
  let allocatedBytes = 0;
  const add = async (at: string): Promise<void> => {
    try {
      const found = await lstat(at);
      if (found.isDirectory()) {
        for (const name of await readdir(at)) await add(join(at, name));
        return;
      }
      const inode = `${found.dev}:${found.ino}`;
      if (seen.has(inode)) return;
      seen.add(inode);
      apparentBytes += found.size;
      allocatedBytes += found.blocks * STAT_BLOCK_BYTES;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, at);
    }
  };
  await add(path);
  return { apparentBytes, allocatedBytes };
}
