/** Which hearth wrote an install: for people and for lock files. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ROOTFS_FORMAT_VERSION } from '../rootfs/index.js';

const packageSchema = z.object({ version: z.string() });

/** `hearth 0.1.0 rootfs-1`: the package's version and that of the form of its file systems. */
export async function writerVersion(): Promise<string> {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = packageSchema.parse(JSON.parse(text));
  return `hearth ${version} rootfs-${ROOTFS_FORMAT_VERSION}`;
}
