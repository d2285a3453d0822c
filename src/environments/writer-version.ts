/** Which hearth wrote an install: for people and for lock files. */
import { readFile } from 'node:fs/promises';
import { objectOf, text } from '../shape/index.js';

const packageSchema = objectOf({ version: text() });

/** `hearth 0.1.0 rootfs-1`: the package's version and that of the form of its file systems. */
export async function writerVersion(): Promise<string> {
  const json = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const reading = packageSchema.read(JSON.parse(json));
  const { ROOTFS_FORMAT_VERSION } = await import('../rootfs/index.js');
  return `hearth ${reading.ok ? reading.value.version : 'unknown'} rootfs-${ROOTFS_FORMAT_VERSION}`;
}
