export { OpenDirectory, stagingName } from './open-directory.js';
export { type PackOptions, packTree } from './pack-tree.js';
export {
  type SkippedEntry,
  type UnpackOptions,
  type UnpackResult,
  unpackTree,
} from './unpack-tree.js';
