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
 * the state came from is not needed for it and may run on. Its channel must have been open when it was saved:
 * a guest that was told of the end of its channel waits for news that a VM that never runs cannot bring.
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
  await vm.save(target.statePath, options);
}
