/** File systems of their own for tests: images in temporary files, mounted over a loop device. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Mounted {
  readonly path: string;
  remountReadOnly(): void;
  unmount(): void;
}

/**
 * Loop devices need root. Anyone else sees these tests as skipped, by name; in CI, where they are
 * required, they run and fail.
 */
export const CAN_MOUNT = process.geteuid?.() === 0 || process.env.CI !== undefined;

export function mountImage(type: 'ext4' | 'xfs' | 'btrfs', sizeMib: number): Mounted {
  const root = mkdtempSync(join(tmpdir(), `hearth-${type}-`));
  const image = join(root, 'image');
  const path = join(root, 'mnt');
  writeFileSync(image, '');
  truncateSync(image, sizeMib * 1024 ** 2);
  mkdirSync(path);
  execFileSync(`mkfs.${type}`, ['-q', image]);
  execFileSync('mount', ['-o', 'loop', image, path]);
  return {
    path,
    remountReadOnly: () => execFileSync('mount', ['-o', 'remount,ro', path]),
    unmount() {
      execFileSync('umount', [path]);
      rmSync(root, { recursive: true });
    },
  };
}
