export { type CloneDiskOptions, type CloneRung, cloneDisk, type DiskClone } from './clone-disk.js';
export { safeVmId } from './names.js';
export type { DiskFormat } from './qcow2.js';
export { type ResizeExt4Options, resizeExt4Image } from './resize-ext4.js';
