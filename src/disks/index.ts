export {
  CLONE_RUNGS,
  type CloneDiskOptions,
  type CloneRung,
  cloneDisk,
  type DiskClone,
} from './clone-disk.js';
export type { CloneForVmOptions, RootfsClone, Template } from './clone-types.js';
export { DiskReader } from './disk-reader.js';
export { hashFile } from './hash-cache.js';
export { safeVmId } from './names.js';
export type { DiskFormat } from './qcow2.js';
export { RootfsRegistry, type RootfsRegistryOptions } from './registry.js';
export { DEFAULT_RESIZE2FS, type ResizeExt4Options, resizeExt4Image } from './resize-ext4.js';
export { DEFAULT_CLONES_DIR, DEFAULT_TEMPLATE_DIR, type DiskSettings, diskSettings } from './settings.js';
export type { TemplateLocation, TemplateSource } from './template-dir.js';
