/** Makes of a state that carries its memory one that many VMs can go on from, sharing that memory. */
import type { VmDriver, VmSpec } from './driver.js';

export interface SeparateMemoryTarget {
  /** A new file for the state without the memory. */
  readonly statePath: string;
  /** A new file for the memory. */
  readonly memoryPath: string;
}

/**
 * Loads the state into a VM that never runs, with its memory in a file, and saves that VM again. The VM that
 * the state came from is not needed for it and may run on.
 *
 * @param spec As for resuming from `spec.resumeFrom`, whose state carries the memory; `directory` is a fresh
 *   one for the VM in between.
 * @throws {HearthError} What `start` and `save` throw.
 */
export async function separateMemory(
  driver: VmDriver,
  spec: VmSpec & Required<Pick<VmSpec, 'resumeFrom'>>,
  target: SeparateMemoryTarget,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await using vm = await driver.start(
    {
      ...spec,
      memory: { kind: 'file', path: target.memoryPath },
      resumeFrom: { statePath: spec.resumeFrom.statePath, memoryInState: true, paused: true },
    },
    options,
  );
  // This VM never runs, so its guest never learns that this channel is open. Saved as closed, the next VM tells it.
  vm.channel.destroy();
  await vm.save(target.statePath, options);
}
