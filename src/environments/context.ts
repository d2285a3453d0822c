/** What the operations of an environment store share. */
import type { Catalog } from './catalog.js';
import type { InstallerContext } from './install-plan.js';
import type { SavedVms } from './kept-vms.js';
import type { EnvironmentLayout } from './layout.js';
import type { EnvironmentParts } from './parts.js';

export interface StoreContext {
  readonly layout: EnvironmentLayout;
  readonly catalog: Catalog;
  readonly parts: EnvironmentParts;
  readonly installer: InstallerContext;
  /** Where bundled profiles lie: `<directory>/<profile>/{vmlinux,rootfs.ext4}`. */
  readonly profilesDirectory: string;
  /** Where saved VMs lie. */
  readonly snapshotsDirectory: string;
  /** Names of the sandboxes that use an install; empty when none does. */
  readonly isInUse: (installDirectory: string) => Promise<readonly string[]>;
  readonly savedVms: SavedVms | undefined;
  /** What holds for every operation that does not say otherwise. */
  readonly offline: boolean;
}
