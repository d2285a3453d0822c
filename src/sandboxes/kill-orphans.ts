import { findVmms, killVmm } from '../vmm/index.js';
import type { Sandbox } from './sandbox.js';
import { hasVm } from './sandbox-record.js';
import type { SandboxStore } from './sandbox-store.js';

/** Ends the VMs below the store that no record speaks of: their creator was killed in between. */
export async function killOrphans(store: SandboxStore, sandboxes: readonly Sandbox[]): Promise<void> {
  const known = new Map(
    sandboxes.flatMap(({ record, directory }) =>
      record.vmm !== null && hasVm(record.state) ? [[directory, record.vmm.pid] as const] : [],
    ),
  );
  for (const { identity, directory } of await findVmms(store.root)) {
    if (known.get(directory) !== identity.pid) await killVmm(identity, directory);
  }
}
