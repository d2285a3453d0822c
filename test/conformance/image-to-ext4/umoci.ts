/** The same layers through umoci, and where it comes to another result. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeLayout } from '../../rootfs/support/oci-layout.js';
import { type BackNode, readDirectory } from './read-back.js';

/**
 * Cases by title in which umoci 0.4.7 does something else. The suite checks that it does, and that it agrees in
 * all others.
 */
export const UMOCI_DIFFERS: Readonly<Record<string, string>> = {
  'a whiteout under a name that becomes a link acts on the lower directory':
    'follows the new link and removes the file of the directory it leads to',
  'a missing parent replaces a file': 'refuses the layer',
  'a hard link to itself': 'refuses the layer',
  'AUFS links': 'keeps the directory of AUFS',
  'a bare whiteout': 'accepts it',
};

/** Unpacks the layers (base first) as root; undefined when umoci refuses them. */
export function unpackWithUmoci(tars: readonly Uint8Array[]): BackNode[] | undefined {
  const work = mkdtempSync(join(tmpdir(), 'hearth-umoci-'));
  try {
    writeLayout(join(work, 'layout'), tars);
    const args = ['unpack', '--image', `${join(work, 'layout')}:image`, join(work, 'bundle')];
    const { status, error } = spawnSync('umoci', process.getuid?.() === 0 ? args : [...args, '--rootless']);
    if (error !== undefined) throw error;
    return status === 0 ? readDirectory(join(work, 'bundle', 'rootfs')) : undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
