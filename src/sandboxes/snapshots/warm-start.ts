/** The first start of a sandbox, from the boot snapshot of its environment. */
import { rm } from 'node:fs/promises';
import type { HearthPaths } from '../../fsx/index.js';
import { createQemuDriver } from '../../vmm/index.js';
import { findBootSnapshot, makeBootSnapshot } from '../boot-snapshots/boot-snapshot.js';
import { type FindStartSource, machineSpecOf } from '../start-source.js';
import { copyDisk, freshDisk } from './own-disk.js';

/**
 * A sandbox on whose disk nothing has run goes on from the boot snapshot, which is made where there is none. Any
 * other disk no longer fits the memory of that snapshot, and is booted.
 */
export function warmStartFrom(paths: HearthPaths): FindStartSource {
  return async (record, directory, { signal, onPhase }) => {
    if (!record.pristine) return undefined;
    const given = signal === undefined ? {} : { signal };
    const spec = machineSpecOf(record);
    let snapshot = await findBootSnapshot(spec, paths);
    if (snapshot === undefined) {
      onPhase('prepare');
      snapshot = await makeBootSnapshot(spec, { paths, driver: createQemuDriver(), ...given });
    }
    onPhase('resume');
    const { memoryPath, statePath, diskPath, diskFormat, directory: snapshotDirectory } = snapshot;
    const disk = await copyDisk(
      { path: diskPath, format: diskFormat, sizeBytes: record.disk.sizeBytes },
      directory,
      given,
    );
    return {
      memoryPath,
      statePath,
      disk,
      commands: 'none',
      isOwn: false,
      fallback: async () => {
        await rm(snapshotDirectory, { recursive: true, force: true });
        return await freshDisk(record, directory);
      },
    };
  };
}
