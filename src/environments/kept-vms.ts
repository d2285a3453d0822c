/** The saved VMs that are part of what hearth keeps; who makes them says which they are. */

export interface SavedVm {
  /** Of its directory, below `data/snapshots`. */
  readonly name: string;
  readonly path: string;
  /** Why it is there, for people. */
  readonly why: string;
  /** True for one that is made again when it is needed. */
  readonly isRemovable: boolean;
}

export interface SavedVmsPruneOptions {
  /** Only those not used for this many ms. Default 0. */
  readonly olderThanMs?: number;
  /** Keeps those used last, up to this many bytes on disk. */
  readonly maxBytes?: number;
  readonly dryRun?: boolean;
}

export interface SavedVms {
  list(): Promise<readonly SavedVm[]>;
  /** Removes of those that are made again; `bytes` on disk. */
  prune(
    options: SavedVmsPruneOptions,
  ): Promise<{ readonly names: readonly string[]; readonly bytes: number }>;
}
