export {
  type AcceleratorDecision,
  type AcceleratorOptions,
  type AcceleratorWish,
  resolveAccelerator,
} from './accelerator.js';
export type { Accelerator, SavedState, Vm, VmDisk, VmDriver, VmExit, VmSpec } from './driver.js';
export { exitError, vmExitedError } from './errors.js';
export {
  AGENT_VSOCK_PORT,
  createFirecrackerDriver,
  type FirecrackerDriverOptions,
} from './firecracker/driver.js';
export { qemuIdentity } from './identity.js';
export { machineIdentity } from './machine-identity.js';
export type { ProcessIdentity } from './process-identity.js';
export {
  adoptVm,
  type DetachedVm,
  type DetachedVmOptions,
  type GuestEnd,
  startDetachedVm,
} from './qemu/detached.js';
export { createQemuDriver, type QemuDriverOptions } from './qemu/driver.js';
export { findVmms, killVmm } from './qemu/find-vmms.js';
export { type SeparateMemoryTarget, separateMemory } from './separate-memory.js';
