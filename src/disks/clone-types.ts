/** What a registry speaks of: templates and the clones that VMs have of them. */
import type { CloneRung } from './clone-disk.js';
import type { DiskFormat } from './qcow2.js';
import type { Growth } from './slot.js';

export interface Template {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 of the image, lower-case hex. */
  readonly sha256: string;
}

export interface RootfsClone {
  /** The id as a directory name. */
  readonly vmId: string;
  /** The id as it was given when the clone was made; what `release` wants. */
  readonly owner: string;
  readonly template: string;
  readonly path: string;
  readonly format: DiskFormat;
  readonly rung: CloneRung;
  readonly readOnly: boolean;
  /** The stamp: SHA-256 of the template when it was cloned. */
  readonly sourceSha256: string;
  /** What the VM sees. */
  readonly sizeBytes: number;
  /** `online`: the guest has to grow its file system to the disk. */
  readonly growth: Growth;
  /** The file an overlay reads from: it must outlive the clone. */
  readonly backingPath: string | undefined;
}

export interface CloneForVmOptions {
  /** What the VMM reads. Default `raw`; `auto` allows a qcow2 overlay. */
  readonly format?: DiskFormat | 'auto';
  readonly readOnly?: boolean;
  readonly rungs?: readonly CloneRung[];
  /**
   * How a larger raw disk gets its larger file system. Default `offline`, by resize2fs. A qcow2 disk, and
   * any disk that a guest has written to, grows `online` whatever is asked for.
   */
  readonly growth?: 'offline' | 'online';
  readonly signal?: AbortSignal;
  /** For each of: waiting for the lock, copying, resizing. Default 10 min. */
  readonly timeoutMs?: number;
}
