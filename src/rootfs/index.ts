export { type ArchiveImageOptions, openArchiveImage } from './archive-image.js';
export {
  type BuildOnceOptions,
  buildRootfsOnce,
  type RootfsOnceResult,
  type RootfsOrigin,
} from './build-once.js';
export {
  type BuildRootfsOptions,
  buildRootfs,
  type RootfsProgress,
  type RootfsResult,
} from './build-rootfs.js';
export { ROOTFS_FORMAT_VERSION } from './identity.js';
export { rootfsMemoryDirectory } from './known-rootfs.js';
export {
  digestRootfs,
  parseRootfsDigest,
  type RootfsDigest,
  type RootfsDigestOptions,
  verifyRootfs,
} from './rootfs-digest.js';
