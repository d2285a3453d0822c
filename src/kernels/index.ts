export type { BundleFile, BundleModule, KernelBundle, KernelOrigin, KernelRecord } from './bundle.js';
export { BOOT_MODULES, ensureInitrd, type Initrd, type InitrdOptions } from './initrd.js';
export {
  DEFAULT_KERNEL_NAME,
  type ImportKernelOptions,
  KERNEL_SOURCES,
  type KernelEntry,
  type KernelOptions,
  type KernelSource,
  type KernelStore,
  openKernelStore,
  type PullKernelOptions,
} from './store.js';
